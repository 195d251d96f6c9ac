"""Content of attachments to messages: rows of datasets, and the evaluations of a run."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from engine.scenarios.alerts.run_facts import list_last_evaluations
from engine.scenarios.context import RunContext
from engine.scenarios.result import RunResult

if TYPE_CHECKING:
    from engine.views import EvaluationFacts

CSV_BATCH_ROWS = 10_000


def load_last_evaluations(result: RunResult, context: RunContext) -> "list[EvaluationFacts]":
    """Return the report facts of the last evaluation of each store that the run has built, reused or checked."""
    from engine.pipeline.reports import collect_report_facts

    return [collect_report_facts(evaluation, context) for evaluation in list_last_evaluations(result, context)]


def stream_csv(dataset: str, context: RunContext) -> Iterable[bytes]:
    """Yield a dataset as CSV bytes: the header, then batches of rows. Texts that spreadsheets execute are escaped."""
    from engine.data import WatchedFiles, explain_read_errors
    from engine.data.output.spreadsheet_csv import disarm_formulas

    files = WatchedFiles(context.datasets.files.hashes)
    table = context.datasets.with_files(files).open(dataset)
    with explain_read_errors(table):
        yield disarm_formulas(table.frame.limit(0).collect()).write_csv().encode()
        for batch in table.frame.collect_batches(chunk_size=CSV_BATCH_ROWS, maintain_order=True):
            yield disarm_formulas(batch).write_csv(include_header=False).encode()
