"""Many boxes and models with a clock that is made up: the real decisions, and no process."""
