"""The output of `engine run`: progress on a terminal while it runs, then the results as text, JSON or annotations.

A pipe gets plain text: rich is used only for terminals, because its import takes longer than printing.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from engine.errors import Diagnostic, Severity
from engine.evaluation.record import CheckResult
from engine.formatting.control_characters import remove_controls, single_line
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_cell
from engine.formatting.palette import TERMINAL_COLOURS
from engine.outcome import CheckOutcome, ExitCode, worst_outcome
from engine.pipeline.log import LogLine
from engine.scenarios.run_views import describe_run_result
from engine.scenarios.session import CallResult
from engine.spec import diagnostics
from engine.views.checks import CheckView
from engine.views.run_view import RunView, StepView
from engine.views.store_view import StoreView

if TYPE_CHECKING:
    from rich.console import RenderableType

Line = Sequence[str | tuple[str, str]]
"""A line of the results: its texts, and pairs of a text and its style."""

WIDTH_IN_A_PIPE = 160

SHOWN_RESULTS = 20
"""Maximum number of results other than OK that are listed per step, the worst first."""


@contextmanager
def show_progress(*, verbose: bool) -> Iterator[Callable[[LogLine], None]]:
    """Show the progress of a run on standard error; yield the listener of its log.

    A terminal gets one line that disappears at the end, a pipe only warnings and errors. With `verbose` every entry of
    the log is printed instead. The output of users' functions goes to standard error too. A warning that belongs to no
    run is always printed, because no result repeats it.
    """
    with redirect_stdout(sys.stderr):
        if verbose:
            yield _print_log_line
        elif not is_terminal(sys.stderr):
            yield print_warning
        else:
            with _show_status() as listen:
                yield listen


@contextmanager
def _show_status() -> Iterator[Callable[[LogLine], None]]:
    from rich.console import Console
    from rich.markup import escape

    def show(line: LogLine) -> None:
        if not line.scenario:
            print_warning(line)
        else:
            parts = (line.scenario, line.step, line.text.splitlines()[0][:100])
            status.update(escape(" · ".join(part for part in parts if part)))

    with Console(stderr=True, highlight=False).status("starting") as status:
        yield show


def is_terminal(stream: TextIO) -> bool:
    """Return whether a stream may show styles: on a terminal, or if the user requests it."""
    return stream.isatty() or bool(os.environ.get("FORCE_COLOR"))


def print_warning(line: LogLine) -> None:
    """Print an entry of the log on standard error if it is a warning or an error."""
    if line.level != "info":
        _print_log_line(line)


def print_warnings_once() -> Callable[[LogLine], None]:
    """Return a listener that prints each warning once: a command that opens the state often is warned each time."""
    printed: set[str] = set()

    def listen(line: LogLine) -> None:
        if line.located_text not in printed:
            printed.add(line.located_text)
            print_warning(line)

    return listen


def _print_log_line(line: LogLine) -> None:
    print(f"{line.at:%H:%M:%S} {line.level:7} {line.located_text}", file=sys.stderr)


def render_results(finished: CallResult, form: diagnostics.DiagnosticFormat, code: ExitCode, state: Path) -> str:
    """Return the results of a call in a format; `state` is the folder with the logs."""
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
    blocks = _list_result_lines(finished, state)
    text = _render_styled_blocks(blocks) if is_terminal(sys.stdout) else "\n".join(map(_render_plain_block, blocks))
    return "\n".join(line.rstrip() for line in text.rstrip().splitlines())


def _list_result_lines(finished: CallResult, state: Path) -> Iterator[Line | StoreView]:
    """Yield the results of a call as lines, and stores to be shown as tables."""
    for run in finished.runs:
        yield from _list_run_lines(describe_run_result(run), 0)
        if not finished.dry:
            yield [(f"  log: {_shorten_path(state / run.log)}", "dim")]
    for store in finished.stores.values():
        yield [""]
        yield store
        yield from ([(reason, "dim")] for reason in store.list_reasons())
    for message in finished.undelivered:
        reason = f": {message.last_error}" if message.last_error else ""
        of_run = f" (run {message.run.rpartition('-')[2]})" if message.run else ""
        yield [(f"{message.prospect}:", "yellow"), f" {message.reporter} to {message.channel}{of_run}{reason}"]
    if finished.dry:
        yield [""]
        yield [("dry run", "bold"), ": nothing was stored, nothing was sent"]


def _render_plain_block(block: Line | StoreView) -> str:
    """Return a line, or a table with its columns aligned, as plain text."""
    if not isinstance(block, StoreView):
        return "".join(text for text, _ in _remove_controls(block)).expandtabs()
    columns = [list(column) for column in zip(*_list_evaluation_rows(block), strict=True)]
    for number, column in enumerate(columns):
        width = max(map(_measure_width, column))
        gaps = [" " * (width - _measure_width(cell)) for cell in column]
        columns[number] = [gap + cell if number else cell + gap for cell, gap in zip(column, gaps, strict=True)]
    return "\n".join([single_line(block.name), *map("  ".join, zip(*columns, strict=True))])


def _measure_width(text: str) -> int:
    """Return the width of a text in columns of a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _remove_controls(line: Line) -> list[tuple[str, str]]:
    """Return the texts of a line with their styles, without control characters."""
    styled = ((part, "") if isinstance(part, str) else part for part in line)
    return [(remove_controls(text), style) for text, style in styled]


def _render_styled_blocks(blocks: Iterable[Line | StoreView]) -> str:
    """Return lines and tables with their styles, as wide as the terminal; in a pipe lines are not wrapped, for grep."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_IN_A_PIPE)
    console.soft_wrap = not sys.stdout.isatty()
    with console.capture() as captured:
        for block in blocks:
            shown: RenderableType
            if isinstance(block, StoreView):
                header, *rows = _list_evaluation_rows(block)
                title = Text(single_line(block.name), "bold")
                shown = table = Table(title=title, title_justify="left", box=None, pad_edge=False)
                for number, name in enumerate(header):
                    table.add_column(Text(name), justify="right" if number else "left")
                for row in rows:
                    table.add_row(*map(Text, row))
            else:
                shown = Text.assemble(*_remove_controls(block))
            console.print(shown)
    return captured.get()


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


def _style_outcome(word: str) -> str | tuple[str, str]:
    """Return an outcome in its colour; any other text unchanged."""
    return (word, TERMINAL_COLOURS[word]) if word in TERMINAL_COLOURS else word


def _list_run_lines(run: RunView, depth: int) -> Iterator[Line]:
    indent = "  " * depth
    yield [indent, (run.scenario, "bold"), "  ", _style_outcome(run.state), f"  {run.seconds or 0:.1f} s"]
    for step in run.steps:
        yield from _list_step_lines(step, depth + 1)
    for delivery in run.deliveries:
        reason = f"  {delivery.reason}" if delivery.reason else ""
        yield [f"{indent}  {delivery.reporter} to {delivery.channel}  ", _style_outcome(delivery.state), reason]


def _list_step_lines(step: StepView, depth: int) -> Iterator[Line]:
    indent = "  " * depth
    remarks = "  ".join(part for part in (step.reason, step.iteration) if part)
    yield [f"{indent}{step.name}  ", _style_outcome(str(step.outcome)), f"  {remarks}"]
    yield from _list_check_lines(step.checks.wrong, f"{indent}  ")
    if muted := step.checks.muted:
        names = len({check.check for check in muted})
        text = "1 check is muted and does not count" if names == 1 else f"{names} checks are muted and do not count"
        yield [f"{indent}  ", (f"{text}:", "yellow")]
        yield from _list_check_lines(muted, f"{indent}    ")
    if step.checks.passed:
        yield [f"{indent}  ", _style_outcome("OK"), f"  {step.checks.passed}"]
    if step.checks.weak:
        weak = join_some(step.checks.weak)
        yield [(f"{indent}  checks that could hardly have failed (see engine show): {weak}", "dim")]
    if step.run is not None:
        yield from _list_run_lines(step.run, depth + 1)


def _list_check_lines(checks: Sequence[CheckView], indent: str) -> Iterator[Line]:
    for check in checks[:SHOWN_RESULTS]:
        yield [indent, _style_outcome(str(check.outcome)), f"  {check.summary}"]
    if len(checks) > SHOWN_RESULTS:
        yield [f"{indent}… and {len(checks) - SHOWN_RESULTS} more, see engine show SPEC STORE --checks"]


def _list_evaluation_rows(shown: StoreView) -> list[list[str]]:
    """Return the newest evaluations of a store with its displayed metrics; the first row is the header."""
    rows = [["evaluation", *shown.metrics]]
    for evaluation in shown.evaluations:
        values = [evaluation.metrics.get(metric) for metric in shown.metrics]
        cells = ["-" if known is None or known.value is None else format_cell(known.value) for known in values]
        rows.append([evaluation.name, *cells])
    return [[single_line(cell) for cell in row] for row in rows]
