"""The output of `engine run`: progress on a terminal while it runs, then the results as text, JSON or annotations."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from engine.errors import Diagnostic, Severity
from engine.evaluation.record import CheckResult
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_cell
from engine.formatting.palette import TERMINAL_COLOURS
from engine.outcome import CheckOutcome, ExitCode, worst_outcome
from engine.pipeline.log import LogLine
from engine.scenarios.run_views import describe_run_result
from engine.scenarios.session import CallResult
from engine.spec import diagnostics
from engine.views.run_view import RunView, StepView
from engine.views.store_view import StoreView

WIDTH_IN_A_PIPE = 160

SHOWN_RESULTS = 20
"""Results of a step's checks that are not OK, of which a line each is shown, the worst first."""


@contextmanager
def show_progress(*, verbose: bool) -> Iterator[Callable[[LogLine], None]]:
    """Show the progress of a run on standard error; yield the listener of its log.

    A terminal gets one line that disappears at the end, a pipe only warnings and errors. With `verbose` every entry
    of the log is printed instead. What functions of users print goes to standard error too. A warning that belongs to
    no run is always printed: no result of a run repeats it.
    """
    console = Console(stderr=True, highlight=False)

    def show(line: LogLine) -> None:
        if verbose:
            _print_log_line(line)
        elif not console.is_terminal or not line.scenario:
            print_warning(line)
        else:
            parts = (line.scenario, line.step, line.text.splitlines()[0][:100])
            status.update(escape(" · ".join(part for part in parts if part)))

    status = console.status("starting")
    with redirect_stdout(sys.stderr), nullcontext() if verbose or not console.is_terminal else status:
        yield show


def print_warning(line: LogLine) -> None:
    """Print an entry of the log on standard error if it is a warning or an error."""
    if line.level != "info":
        _print_log_line(line)


def _print_log_line(line: LogLine) -> None:
    where = " ".join(part for part in (line.scenario, f"[{line.step}]" if line.step else "") if part)
    when = f"{line.at:%H:%M:%S} {line.level:7}"
    print(" ".join(part for part in (when, where, line.text) if part), file=sys.stderr)


def render_results(finished: CallResult, form: diagnostics.DiagnosticFormat, code: ExitCode, state: Path) -> str:
    """Return the results of a call in a format; `state` is the folder that holds the logs."""
    if form == "json":
        document = {
            "schema_version": 1,
            "exit_code": int(code),
            "outcome": worst_outcome(run.outcome for run in finished.runs if run.outcome),
            "dry_run": finished.dry,
            "undelivered": [message.id for message in finished.undelivered],
            "runs": [run.model_dump(mode="json") for run in finished.runs],
        }
        return json.dumps(document, ensure_ascii=False, indent=1)
    if form == "github":
        return render_annotations(check for run in finished.runs for step in run.all_steps() for check in step.checks)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_IN_A_PIPE)
    console.soft_wrap = not sys.stdout.isatty()  # in a pipe lines stay whole, for grep
    with console.capture() as captured:
        for run in finished.runs:
            _show_run(describe_run_result(run), console, 0)
            if not finished.dry:
                console.print(f"  log: {escape(_shorten_path(state / run.log))}", style="dim")
        for store in finished.stores.values():
            _show_store(store, console)
        for message in finished.undelivered:
            reason = f": {message.last_error}" if message.last_error else ""
            of_run = f" (run {message.run.rpartition('-')[2]})" if message.run else ""
            what = f"{message.reporter} to {message.channel}{of_run}{reason}"
            fate = (
                "refused for good, see engine outbox"
                if message.state == "REFUSED"
                else "undelivered, tried again by the next run"
            )
            console.print(f"[yellow]{fate}:[/] {escape(what)}")
        if finished.dry:
            console.print("\n[bold]dry run[/]: nothing was kept, nothing was sent")
    return "\n".join(line.rstrip() for line in captured.get().rstrip().splitlines())


def _shorten_path(path: Path) -> str:
    """Return a path relative to the working directory if it is inside, else the absolute path."""
    here = Path.cwd()
    return str(path.absolute().relative_to(here) if path.absolute().is_relative_to(here) else path.absolute())


def render_annotations(checks: Iterable[CheckResult]) -> str:
    """Return a GitHub annotation, at the check's line of the spec, for each result that is not OK."""
    severity = {CheckOutcome.ERROR: Severity.ERROR, CheckOutcome.WARNING: Severity.WARNING}
    found = {
        Diagnostic(check.position, str(check.outcome), check.summary, severity=severity[check.counts_as])
        for check in checks
        if check.position is not None and check.counts_as in severity
    }
    return diagnostics.render_diagnostics(
        sorted(found, key=lambda diagnostic: (diagnostic.position, diagnostic.message)), "github"
    )


def colour_word(word: str) -> str:
    """Return an outcome as markup in its colour; any other text as it is."""
    return f"[{TERMINAL_COLOURS[word]}]{word}[/]" if word in TERMINAL_COLOURS else escape(word)


def _show_run(run: RunView, console: Console, depth: int) -> None:
    indent = "  " * depth
    console.print(f"{indent}[bold]{escape(run.scenario)}[/]  {colour_word(run.state)}  {run.seconds or 0:.1f} s")
    for step in run.steps:
        _show_step(step, console, depth + 1)
    for delivery in run.deliveries:
        sender = f"{delivery.reporter} to {delivery.channel}"
        reason = f"  {delivery.reason}" if delivery.reason else ""
        console.print(f"{indent}  {escape(sender)}  {colour_word(delivery.state)}{escape(reason)}")


def _show_step(step: StepView, console: Console, depth: int) -> None:
    indent = "  " * depth
    remarks = "  ".join(escape(part) for part in (step.reason, step.iteration) if part)
    console.print(f"{indent}{escape(step.name)}  {colour_word(str(step.outcome))}  {remarks}")
    wrong, passed, weak = step.checks.wrong, step.checks.passed, step.checks.weak
    for check in wrong[:SHOWN_RESULTS]:
        console.print(f"{indent}  {colour_word(str(check.outcome))}  {escape(check.summary)}")
    if len(wrong) > SHOWN_RESULTS:
        console.print(f"{indent}  … and {len(wrong) - SHOWN_RESULTS} more, see engine show SPEC STORE --checks")
    muted = step.checks.muted
    if muted:
        names = len({check.check for check in muted})
        text = "1 check is muted and does not count" if names == 1 else f"{names} checks are muted and do not count"
        console.print(f"{indent}  [yellow]{text}:[/]")
    for check in muted[:SHOWN_RESULTS]:
        console.print(f"{indent}    {colour_word(str(check.outcome))}  {escape(check.summary)}")
    if len(muted) > SHOWN_RESULTS:
        console.print(f"{indent}    … and {len(muted) - SHOWN_RESULTS} more, see engine show SPEC STORE --checks")
    if passed:
        console.print(f"{indent}  {colour_word('OK')}  {escape(passed)}")
    if weak:
        console.print(f"{indent}  could hardly have failed, see engine show: {escape(join_some(weak))}", style="dim")
    if step.run is not None:
        _show_run(step.run, console, depth + 1)


def _show_store(shown: StoreView, console: Console) -> None:
    """Show the newest evaluations of a store with the metrics that it displays."""
    table = Table(title=escape(shown.name), title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("evaluation")
    for metric in shown.metrics:
        table.add_column(escape(metric), justify="right")
    for evaluation in shown.evaluations:
        values = [evaluation.metrics.get(metric) for metric in shown.metrics]
        cells = ["-" if known is None or known.value is None else format_cell(known.value) for known in values]
        table.add_row(escape(evaluation.name), *cells)
    console.print()
    console.print(table)
    for reason in shown.list_reasons():
        console.print(escape(reason), style="dim")
