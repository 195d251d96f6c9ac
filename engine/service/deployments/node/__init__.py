"""Deployments on an automation node: what its server does for them, and how clients ask it."""
