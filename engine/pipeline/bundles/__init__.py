"""The contents and creation of bundles, and the model versions of released ones."""
