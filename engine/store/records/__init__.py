"""The records of the state, as plain frozen data, one module per subject.

They are not mapped to tables: code that makes or reads a record needs no database, and the tables can change
independently. All datetimes have a time zone. Mappings contain JSON values; dates are read back as ISO text.
"""
