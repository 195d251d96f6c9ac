"""Run scenarios of a project and print the results, for `engine run`."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from engine.cli.interruptions import treat_signals_as_interruptions
from engine.outcome import ExitCode
from engine.spec import diagnostics

if TYPE_CHECKING:
    from engine.spec import ProjectSpec


def answer_run(
    project: "ProjectSpec",
    scenarios: Sequence[str],
    form: diagnostics.DiagnosticFormat,
    *,
    preview_reporters: bool = False,
    dry: bool = False,
    fail_on: Literal["warning", "error", "never"] = "error",
    verbose: bool = False,
) -> ExitCode:
    """Run the named scenarios, or those of `run:`; print their results, and return the exit code."""
    if project.warnings and form != "json":
        out = sys.stdout if form == "github" else sys.stderr
        print(diagnostics.render_diagnostics(project.warnings, "github" if form == "github" else "text"), file=out)

    from engine.cli import output
    from engine.cli.json_output import print_json
    from engine.scenarios import scenario_selection, session
    from engine.scenarios.result import exit_code
    from engine.store.location import resolve_state_folder

    names = scenario_selection.select_scenarios(project, scenarios)
    treat_signals_as_interruptions()
    previews: list[str] = []
    with output.show_progress(verbose=verbose) as listen:
        finished = session.run_scenarios(
            project,
            names,
            listeners=[listen],
            preview=previews.append if preview_reporters or dry else None,
            dry=dry,
        )
    if previews:
        print(*previews, sep="\n", file=sys.stderr if form == "json" else sys.stdout)
    code = exit_code(finished.runs, undelivered=len(finished.undelivered), fail_on=fail_on)
    results = output.render_results(finished, form, code, resolve_state_folder(project))
    (print_json if form == "json" else print)(results)
    return code
