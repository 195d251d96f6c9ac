"""The versions of Python and of the libraries that a trained model depends on."""

import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version


@cache
def library_versions() -> Mapping[str, str]:
    """Return the versions of Python and of the libraries that a trained model depends on."""
    return {"python": platform.python_version()} | {p: version(p) for p in ("scikit-learn", "numpy", "polars", "skops")}
