"""The reference of an evaluation store: a table or earlier evaluations, resolved, profiled, and known by its types."""
