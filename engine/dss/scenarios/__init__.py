"""Import the scenarios of a project: steps, conditions, triggers and reporters; and report mistakes in them."""
