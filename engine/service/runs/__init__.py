"""The runs that a server starts for fires, each in a separate process."""
