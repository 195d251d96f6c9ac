"""Which files belong to a path, in which format they are, and which columns the names of their folders hold.

Nothing here reads rows or imports polars: `engine validate` needs the formats, and both the datasets of a spec and the
tables of the library need the files, found by the same rules.
"""
