"""What an infrastructure remembers of its deployments: bundles, revisions and operations, in a database of its own."""
