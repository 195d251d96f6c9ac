"""The command line: its entry point, code that verbs share, and the printing of results.

A verb imports modules that load polars, numba or SQLAlchemy inside its command function, after the spec is loaded:
`--help` and the diagnostics of an invalid spec should not wait a second for packages that they do not use.
"""

import gc
import time

STARTED_NS = time.time_ns()
"""The time when this process began to import the engine."""

_USUAL_THRESHOLDS = gc.get_threshold()
gc.set_threshold(500_000)  # otherwise garbage collection during imports takes a quarter of a short command's time


def restore_garbage_collection() -> None:
    """Collect garbage as often as Python does by default.

    A command that runs for days calls this after its imports: each of its transactions leaves objects in reference
    cycles, and half a million of them would take more than 50 MB before they are collected. Existing objects are
    permanent and are frozen: otherwise Python would run a full collection only after a quarter as many new ones.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_USUAL_THRESHOLDS)
