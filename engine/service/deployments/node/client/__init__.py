"""The client of an automation node: requests over HTTP, and what they bring: runs, events, evaluations."""
