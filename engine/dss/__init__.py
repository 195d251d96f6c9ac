"""Imports projects of Dataiku DSS: reads their files, and writes a spec and a report of what became of each object.

`source` reads a folder or an archive, `json_objects` the values in a file; one module per kind of object turns them
into parts of a spec; `spec_writing` and `report` write the result. Nothing of a project is executed or unpickled, and
secrets are declared by name, never carried.
"""
