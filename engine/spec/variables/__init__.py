"""Variables of a spec: references to them, their values, and the moment of a run."""
