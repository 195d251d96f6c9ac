"""What the state records, as plain frozen data, one module per subject.

They are not rows and not mapped classes: code that makes or reads a record needs no database, and the tables can
change independently. All datetimes are aware. Mappings hold JSON values; dates come back as ISO text.
"""
