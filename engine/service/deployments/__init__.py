"""Deployments: a bundle with settings of its own, proved before it is used, rolled back if it is not healthy."""
