"""`engine plan`: shows what a run would do, and why, without running it."""

import contextlib
import os
import sys
from typing import Annotated, Literal

import typer

from engine.cli.options import AsOf, On, SpecFile, Variables, load_project


def command(
    path: SpecFile,
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SCENARIO",
            help="The scenarios to plan; by default those of `run:` in the spec.",
            show_default=False,
        ),
    ] = None,
    var: Variables = None,
    on: On = None,
    as_of: AsOf = None,
    format_: Annotated[
        Literal["text", "json"], typer.Option("--format", help="text for people, json for programs.")
    ] = "text",
) -> int:
    """Show the actions of a run and their reasons, without running anything.

    Signs: + new, ~ changed, ! forced, = reused, · done every time, ? decided during the run, - not done, x fails. To
    profile a reference means to compute the statistics that batches are compared with.
    """
    project = load_project(path, var, as_of, on=on)

    from engine.cli import json_output, output
    from engine.cli.printers import plan_text
    from engine.scenarios import scenario_selection, session

    names = scenario_selection.select_scenarios(project, scenarios or ())
    with contextlib.redirect_stdout(sys.stderr):  # the output of user functions must not get into the answer
        plan = session.plan_scenarios(project, names, listeners=[output.print_warning])
    if format_ == "json":
        json_output.print_json(plan.model_dump_json(indent=1))
    else:
        print(plan_text.render_plan(plan, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    return plan.exit_code
