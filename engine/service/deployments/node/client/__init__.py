"""The HTTP client of an automation node: requests for runs, events and evaluations."""
