"""From flags, environment and catalog to what each model is run as: checked, and explained."""
