"""Reads a project from the files of a spec: included files, message files, and checks of the whole."""
