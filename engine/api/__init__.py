"""The Python API: a project, its runs and its evaluation stores; tables are polars frames.

The command line's `show`, `compare`, `check` and `remove` print what is asked for here, so the two can never differ.
"""

from engine.api.evaluation_store import EvaluationStore
from engine.api.project import Project, Run, load, run

__all__ = ["EvaluationStore", "Project", "Run", "load", "run"]
