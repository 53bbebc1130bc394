"""How families of models write calls and reasoning: one module for each, and how it is found."""
