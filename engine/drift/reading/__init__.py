"""Tables of any library and file become columns of a known role, with the values that are compared."""
