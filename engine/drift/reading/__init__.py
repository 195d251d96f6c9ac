"""Read tables of any library or file as columns with a role, in the form in which values are compared."""
