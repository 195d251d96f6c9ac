"""`engine check`: applies the checks of the spec to one evaluation, a dataset, or all stored evaluations."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from engine.cli.options import AsOf, Format, On, SpecFile, Variables, load_project
from engine.errors import UsageError
from engine.outcome import ExitCode

if TYPE_CHECKING:
    from engine.api import Project


def command(
    path: SpecFile,
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="An evaluation store or a dataset.", show_default=False)
    ],
    evaluation: Annotated[
        str | None,
        typer.Argument(
            metavar="EVALUATION", help="The evaluation's name or id; by default the newest.", show_default=False
        ),
    ] = None,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay", help="Apply the checks to all stored evaluations and count the results; record nothing."
        ),
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="CHECK.KEY=VALUE",
            help="With --replay: try another bound, such as 'my check.soft_max=0.2'; null removes it. Can be repeated.",
        ),
    ] = None,
    var: Variables = None,
    on: On = None,
    as_of: AsOf = None,
    fail_on: Annotated[
        Literal["warning", "error", "never"] | None,
        typer.Option(help="The least severe outcome that causes exit code 1; by default error.", show_default=False),
    ] = None,
    format_: Format = "text",
) -> int:
    """Apply the current checks again, to an evaluation or a dataset, and record the results."""
    if set_ and not replay:
        raise typer.BadParameter("--set applies only to --replay: it tries a bound on the stored evaluations")
    if replay and evaluation is not None:
        raise typer.BadParameter("--replay uses all evaluations: leave out EVALUATION")
    if replay and (fail_on or format_ == "github"):
        raise typer.BadParameter("--replay only counts results: it takes no --fail-on and no --format github")
    declared = load_project(path, var, as_of, on=on)

    from engine.api import Project
    from engine.api.lookup import find_target
    from engine.api.result_table import ResultTable
    from engine.cli import output
    from engine.cli.printers import check_printers
    from engine.scenarios.result import checks_exit_code
    from engine.spec.resources.checks import describe_inactive_checks

    with output.show_progress(verbose=False) as listen:
        project = Project(declared, os.environ, (listen,))
        if replay:
            replayed = project.replay(target, _parse_settings(project, target, set_ or ()))
        else:
            found = project.check(target, evaluation)
    if replay:
        check_printers.print_replay(target, ResultTable.from_frame(replayed), "json" if format_ == "json" else "text")
        return ExitCode.OK
    if format_ == "github":
        print(output.render_annotations(found))
    elif not found and format_ == "text":
        off = describe_inactive_checks(find_target(target, declared).checks)
        print(f"{target}: {off}" if off else f"{target} has no checks; declare some under its key checks:")
    else:
        checked = found[0].evaluation if found else None
        made = project.store(target).evaluation(checked) if checked and format_ == "text" else None
        check_printers.print_checks(target, made, found, format_)
    return checks_exit_code(found, fail_on or "error")


def _parse_settings(project: "Project", target: str, given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Parse the values of `--set` by check and key; raises UsageError for an unknown check or a key given twice."""
    from engine.api.lookup import find_target
    from engine.spec.reading.tried_settings import parse_tried_setting

    tried: dict[str, dict[str, Any]] = {}
    for text in given:
        check, key, value = parse_tried_setting(text, list(find_target(target, project.spec).checks))
        if key in tried.setdefault(check, {}):
            raise UsageError(f"--set gives {check}.{key} twice; try one value at a time")
        tried[check][key] = value
    return tried
