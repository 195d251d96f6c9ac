"""The reference of an evaluation store: resolves and profiles a table or earlier evaluations."""
