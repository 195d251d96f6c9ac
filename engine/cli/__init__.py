"""The command line: one module per verb.

A verb imports what loads polars, numba or SQLAlchemy inside its command function, after the spec is loaded: `--help`
and the diagnostics of an invalid spec need not wait a second for packages that they do not use.
"""

import gc

gc.set_threshold(500_000)  # by default a quarter of a short command's time is garbage collection during imports
