"""The runs that a server starts: each in a process of its own, from a fire to its end."""
