"""The output of verbs, one module per subject: text for people, JSON and CSV for programs."""
