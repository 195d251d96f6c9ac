"""The HTTP API `/v1` of an automation node: bundles, deployments, operations, runs, status."""
