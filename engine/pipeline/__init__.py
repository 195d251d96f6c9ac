"""Builders of what the project declares: datasets are verified, models trained, evaluation stores filled.

Each builder reuses an earlier result if nothing has changed, and its return value tells whether it did.
"""
