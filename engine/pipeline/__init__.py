"""Builders of declared resources: they verify datasets, train models and fill evaluation stores.

Each builder reuses an earlier result if nothing has changed, and returns whether it did.
"""
