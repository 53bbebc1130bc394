"""Workers that have died: whose request may have been the cause, and who goes on with the rest."""
