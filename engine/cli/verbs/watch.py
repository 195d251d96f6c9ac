"""`engine watch`: runs what a change affects, as soon as a spec, a Python file beside it or a data file changes."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import typer

from engine.cli import restore_garbage_collection
from engine.cli.interruptions import treat_signals_as_interruptions
from engine.cli.options import Variables, parse_variables
from engine.cli.standard_streams import end_with_reader
from engine.errors import UsageError
from engine.outcome import ExitCode


def command(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC", help="Spec files.", show_default=False)],
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A scenario to run; by default those of `run:` in the spec. Can be repeated.",
            show_default=False,
        ),
    ] = None,
    var: Variables = None,
    format_: Annotated[
        Literal["text", "json"],
        typer.Option("--format", help="text for people, json for programs: one object per line."),
    ] = "text",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every entry of the log.")] = False,
) -> int:
    """Run everything that is out of date, then everything that a file change affects. Ctrl-C ends it.

    It watches the spec and its included files, the Python files beside it, and the files of its datasets and models. A
    changed file is used when it has not changed any more for a while: 0.3 s for specs and Python files; for data the
    `settle:` of the dataset, or 30 s for CSV and NDJSON, 5 s for several Parquet or Arrow files, and less for a single
    one that has its end mark. With `marker:`, a dataset waits for that file.

    Actions that the plan shows as reused are not run. Results go to standard output, one per run; the rest goes to
    standard error.
    """
    if scenario and len(specs) > 1:
        raise UsageError("--scenario names a scenario of one spec, but several specs are given")

    end_with_reader()
    from engine.cli.printers.watch_printers import WatchPrinter
    from engine.service.watch.watch_loop import watch_specs

    restore_garbage_collection()
    treat_signals_as_interruptions()
    with suppress(BrokenPipeError):  # the reader of the results has closed them
        watch_specs(
            list(dict.fromkeys(specs)),
            parse_variables(var),
            scenario or (),
            environ=os.environ,
            listener=WatchPrinter(format_, verbose=verbose),
        )
    return ExitCode.OK
