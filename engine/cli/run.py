"""`engine run`: runs scenarios of a spec and prints their results."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from engine.cli.interruptions import treat_signals_as_interruptions
from engine.cli.options import AsOf, Format, On, Variables, load_project
from engine.spec import diagnostics


def command(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)],
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCENARIO",
            help="The scenarios to run; by default those of `run:` in the spec.",
            show_default=False,
        ),
    ] = None,
    var: Variables = None,
    on: On = None,
    as_of: AsOf = None,
    preview_reporters: Annotated[
        bool, typer.Option("--preview-reporters", help="Show what reporters would send, but send nothing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compute and show everything, but keep nothing and send nothing.")
    ] = False,
    fail_on: Annotated[
        Literal["warning", "error", "never"], typer.Option(help="The least severe outcome that gives exit code 1.")
    ] = "error",
    format_: Format = "text",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every entry of the log.")] = False,
) -> int:
    """Run scenarios: build, check and report what the spec declares."""
    project = load_project(path, var, as_of, on=on)
    if project.warnings and format_ != "json":
        out = sys.stdout if format_ == "github" else sys.stderr
        print(diagnostics.render_diagnostics(project.warnings, "github" if format_ == "github" else "text"), file=out)

    from engine.cli import output
    from engine.cli.json_output import print_json
    from engine.scenarios import scenario_selection, session
    from engine.scenarios.result import exit_code
    from engine.store.state_folder import resolve_state_folder

    names = scenario_selection.select_scenarios(project, scenarios or ())
    treat_signals_as_interruptions()
    previews: list[str] = []
    with output.show_progress(verbose=verbose) as listen:
        finished = session.run_scenarios(
            project,
            names,
            listeners=[listen],
            preview=previews.append if preview_reporters or dry_run else None,
            dry=dry_run,
        )
    if previews:
        print(*previews, sep="\n", file=sys.stderr if format_ == "json" else sys.stdout)
    code = exit_code(finished.runs, undelivered=len(finished.undelivered), fail_on=fail_on)
    results = output.render_results(finished, format_, code, resolve_state_folder(project))
    (print_json if format_ == "json" else print)(results)
    return code
