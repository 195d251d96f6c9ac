"""Variables of a spec: references to them, their values, and the moment that a run stands for."""
