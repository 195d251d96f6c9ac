"""engine watches machine-learning models in production, as declared in a YAML spec."""

from importlib.metadata import version

__version__ = version("engine")
