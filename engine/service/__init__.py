"""Unattended operation: triggers, watched files, message delivery and deployments.

Nothing here imports polars or a user's code: runs are executed in separate processes (`scenarios.process`), so that
this process needs little memory and survives their crashes.
"""
