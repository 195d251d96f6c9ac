"""Opening the databases that connections name: settings, errors in plain words, and no polars."""
