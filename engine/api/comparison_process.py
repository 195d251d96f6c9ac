"""`python -m engine.api.comparison_process SPEC STORE EVALUATION REFERENCE`: computes a comparison for a server.

A server loads no data library, so it starts this process, which prints the computed evaluation as JSON, or the error on
standard error.
"""

import os
import sys
from collections.abc import Sequence

from engine.api.project import Project
from engine.errors import EngineError
from engine.spec import load
from engine.store.transfer import TravellingEvaluation


def print_comparison(arguments: Sequence[str]) -> int:
    """Print the comparison of an evaluation with a reference; return the exit code."""
    spec, store, evaluation, reference = arguments
    try:
        found = Project(load(spec), os.environ).store(store).compare(evaluation, reference)
    except EngineError as problem:
        print(problem, file=sys.stderr)
        return 3
    sys.stdout.write(TravellingEvaluation(evaluation=found, checks=[], files={}).model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(print_comparison(sys.argv[1:]))
