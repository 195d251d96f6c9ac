"""engine watches machine-learning models in production, as declared in a YAML spec."""

__version__ = "0.1.0"
