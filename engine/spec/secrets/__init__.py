"""Secret values: looked up when they are used, and masked in all that is written."""
