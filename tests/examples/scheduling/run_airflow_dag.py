"""Run the DAG `nightly` of a folder, by the Python of an Airflow: `python run_airflow_dag.py FOLDER MOMENT…`.

Print one JSON document: what the import of the folder complained about, how often a task is tried again, the state of a
whole run for the first moment, and for each moment how the task's function alone ended.
"""

import json
import sys
from datetime import datetime
from types import SimpleNamespace

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException
from airflow.utils.db import initdb


def call_task(task: object, moment: datetime) -> str:
    """Return "success", or what Airflow does after the exception of the function: "failed" at once, or "retried"."""
    try:
        task.python_callable(dag_run=SimpleNamespace(logical_date=moment, run_after=None))
    except AirflowFailException as problem:
        return f"failed: {problem}"
    except RuntimeError as problem:
        return f"retried: {problem}"
    return "success"


folder, *texts = sys.argv[1:]
moments = [datetime.fromisoformat(text) for text in texts]
initdb()
bag = DagBag(folder)
dag = bag.dags["nightly"]
(task,) = dag.tasks
ran = dag.test(logical_date=moments[0])
answer = {
    "errors": bag.import_errors,
    "retries": task.retries,
    "state": ran.state,
    "calls": [call_task(task, moment) for moment in moments],
}
print("\n" + json.dumps(answer))
