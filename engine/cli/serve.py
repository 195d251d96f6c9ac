"""`engine serve`: runs scenarios when their triggers say so, until it is ended."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer


def command(
    specs: Annotated[
        list[Path], typer.Argument(metavar="SPEC|FOLDER", help="Spec files, or folders of them.", show_default=False)
    ],
    at_once: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Runs at the same time; by default 1 for 2 cores.", show_default=False),
    ] = None,
    drain: Annotated[
        float, typer.Option(min=0, max=3600, metavar="SECONDS", help="How long runs may take when it is to end.")
    ] = 15.0,
    reload: Annotated[bool, typer.Option("--reload", help="Read the specs again when their files change.")] = False,
    format_: Annotated[
        Literal["text", "json"], typer.Option("--format", help="text for people, json for programs: an object a line.")
    ] = "text",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every entry of the logs.")] = False,
) -> int:
    """Serve the triggers of scenarios: start what is due, tell what has become of it, until Ctrl-C or SIGTERM.

    SIGHUP reads the specs again. When it ends, runs may take some time to end; a second signal kills them. What was
    due while nothing ran is made up for as `catch_up:` of the trigger says.
    """
    from engine.cli.serve_printers import ServePrinter
    from engine.service.server_process import ServeOptions, Server

    server = Server(
        specs,
        ServeOptions(at_once or max(1, (os.cpu_count() or 1) // 2), drain, reload),
        ServePrinter(format_, verbose=verbose),
        environ=os.environ,
    )
    if server.serve():
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - the same command as before
    return 0
