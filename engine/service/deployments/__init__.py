"""Deployments: bundles with settings, tested before activation and rolled back if they are not healthy."""
