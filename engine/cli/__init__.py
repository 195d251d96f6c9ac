"""The command line: how it is entered, what its verbs have in common, and how results are printed.

A verb imports what loads polars, numba or SQLAlchemy inside its command function, after the spec is loaded: `--help`
and the diagnostics of an invalid spec need not wait a second for packages that they do not use.
"""

import gc
import time

STARTED_NS = time.time_ns()
"""When this process began to import the engine."""

_USUAL_THRESHOLDS = gc.get_threshold()
gc.set_threshold(500_000)  # by default a quarter of a short command's time is garbage collection during imports


def restore_garbage_collection() -> None:
    """Collect garbage as often as Python does by default.

    A command that goes on for days calls this after its imports: each of its transactions leaves objects that refer to
    one another, and half a million of them would take up more than 50 MB before they are collected. What is there by
    now stays, so it is left out: Python collects all objects only when a quarter of their number is new.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_USUAL_THRESHOLDS)
