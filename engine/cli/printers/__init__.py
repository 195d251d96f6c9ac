"""What the verbs print: one module per subject, for people, and as JSON and CSV for programs."""
