"""Import projects of Dataiku DSS: read their files, and write a spec and a report on each object.

`source` reads a folder or an archive, `json_objects` the values in a file; one module per kind of object converts them
to parts of a spec; `spec_writing` and `report` write the result. Nothing of a project is executed or unpickled, and
secrets are declared by name, never copied.
"""
