"""The Python API: a project, its runs and its evaluation stores; tables are polars frames.

`engine show`, `compare`, `check` and `remove` call these functions and print the results, so the two cannot differ.
"""

from engine.api.evaluation_store import EvaluationStore
from engine.api.project import Project, Run, load, run

__all__ = ["EvaluationStore", "Project", "Run", "load", "run"]
