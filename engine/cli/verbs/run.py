"""`engine run`: runs scenarios of a spec and prints their results."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.cli.interruptions import treat_signals_as_interruptions
from engine.cli.options import AsOf, Format, On, SpecFile, Variables, find_node_of, load_project, parse_variables
from engine.cli.runs import answer_run

if TYPE_CHECKING:
    from engine.service.deployments.node.client.client import NodeClient


def command(
    path: SpecFile,
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
        bool, typer.Option("--preview-reporters", help="Show the messages of reporters, but send nothing.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Compute and show everything, but store and send nothing.")
    ] = False,
    fail_on: Annotated[
        Literal["warning", "error", "never"], typer.Option(help="The least severe outcome that causes exit code 1.")
    ] = "error",
    format_: Format = "text",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every entry of the log.")] = False,
) -> int:
    """Run scenarios: build, check and report as declared in the spec."""
    if on is not None and (node := find_node_of(path, on)) is not None:
        if dry_run or preview_reporters or as_of is not None:
            raise typer.BadParameter("--dry-run, --preview-reporters and --as-of are not for runs on a node")
        return _run_on_node(node, on, scenarios or (), parse_variables(var), fail_on, format_, verbose=verbose)
    return answer_run(
        load_project(path, var, as_of, on=on),
        scenarios or (),
        format_,
        preview_reporters=preview_reporters,
        dry=dry_run,
        fail_on=fail_on,
        verbose=verbose,
    )


def _run_on_node(
    node: "NodeClient",
    deployment: str,
    scenarios: Sequence[str],
    variables: Mapping[str, str],
    fail_on: str,
    format_: str,
    *,
    verbose: bool,
) -> int:
    """Run scenarios of a deployment on its node, one after the other, and print their results."""
    from engine.cli import output
    from engine.cli.json_output import print_json
    from engine.service.deployments.node.client.runs import choose_exit_code, run_on_node

    if not scenarios:
        raise typer.BadParameter("give the scenarios to run on the node")
    treat_signals_as_interruptions()
    with output.show_progress(verbose=verbose) as listen:
        done = [
            run_on_node(node, deployment, one, variables, listen, lambda text: print(text, file=sys.stderr))
            for one in scenarios
        ]
    if format_ == "json":
        print_json(json.dumps([one.model_dump(mode="json") for one in done], indent=1))
    else:
        for run in done:
            seconds = f"  {(run.ended - run.started).total_seconds():.1f} s" if run.ended else ""
            print(f"{run.scenario}  {run.state}{seconds}")
            for step in run.steps:
                print(f"  {step.name}  {step.outcome}{f'  {step.reason}' if step.reason else ''}")
            for one in run.deliveries:
                print(f"  {one.reporter} to {one.channel}  {one.state}{f'  {one.reason}' if one.reason else ''}")
            print(f"  run {run.id} on the node {node.name}")
    return choose_exit_code(done, fail_on)
