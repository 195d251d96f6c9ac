"""engine monitors machine-learning models in production, as declared in a YAML spec.

    import engine

    project = engine.load("specs/card_fraud.yaml")
    run = project.run("Data drift monitor")
    print(run.outcome)
    project.store("the_MES").evaluations()  # a polars frame

The libraries behind these names (polars, numba, scikit-learn) are imported at the first use of a name, so `import
engine` is fast.
"""

import os
from typing import TYPE_CHECKING

from engine.lazy_exports import export_lazily
from engine.numpy_features import avoid_slow_sort

if TYPE_CHECKING:
    from engine.api import EvaluationStore, Project, Run, load, run

# polars reads this when it is imported. Its default returns memory to the system after it was free for half a second,
# only to request it again page by page, which takes a tenth of the time of reading a table. On a busy machine the same
# happens within a second; of more than three seconds, the peak of comparing ten million rows grows by up to 100 MB.
os.environ.setdefault("_RJEM_MALLOC_CONF", "dirty_decay_ms:3000")
# numpy's OpenBLAS reads this when it is imported: for 2 to this power clock ticks, its idle threads keep their cores
# busy before they sleep. The default is 25 ms per thread in every process that imports numpy.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")
avoid_slow_sort()

__version__ = "0.1.0"
__getattr__, __dir__ = export_lazily(
    __name__, dict.fromkeys(("EvaluationStore", "Project", "Run", "load", "run"), "api")
)
__all__ = ["EvaluationStore", "Project", "Run", "__version__", "load", "run"]
