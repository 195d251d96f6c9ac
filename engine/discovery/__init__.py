"""Find the files of a path, their format, and the columns in the names of their folders.

Nothing here reads rows or imports polars: `engine validate` needs the formats. The datasets of a spec and the tables of
the library find files by the same rules.
"""
