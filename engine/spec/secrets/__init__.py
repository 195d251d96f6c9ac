"""Secret values: looked up at use, and masked in all output."""
