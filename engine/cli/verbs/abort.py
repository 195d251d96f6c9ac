"""`engine abort`: asks a run to end, on this machine or on a node."""

import os
from typing import Annotated

import typer

from engine.cli.options import On, SpecFile, find_node_of, load_project
from engine.errors import UsageError
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    run: Annotated[str, typer.Argument(metavar="RUN", help="The id of the run, or its last part.", show_default=False)],
    on: On = None,
) -> int:
    """Ask a run to end. It becomes ABORTED, its reporters send their messages, and your user name is recorded.

    A run on this machine ends after its current step, no matter who started it. A run on a node ends at once.
    """
    node = None if on is None else find_node_of(path, on)
    if node is not None and on is not None:
        from engine.service.deployments.node.client.runs import abort_run_on_node

        asked = abort_run_on_node(node, on, run)
        print(f"run {asked.aborting} on the node {node.name} was asked to end: it ends {asked.ends}")
        return ExitCode.OK
    declared = load_project(path, None, on=on)

    from engine.acting_user import describe_acting_user
    from engine.api import Project
    from engine.api.lookup import choose_id
    from engine.cli.output import print_warning
    from engine.scenarios.dead_runs import find_unfinished_step

    with Project(declared, os.environ, (print_warning,)).open_state() as context:
        runs = context.store.runs
        meant = choose_id("run", run, runs.find_ids(run), runs.list_short_ids)
        if (outcome := runs.find_outcome(meant)) is not None:
            raise UsageError(f"run {meant} has already ended {outcome}")
        if not runs.request_abort(meant, describe_acting_user()):
            who = runs.get(meant).who
            raise UsageError(
                f"the process of run {meant} has died, or is on another host, where {who} has started it; if it has "
                "died, the next run marks it ABORTED"
            )
        at_work = find_unfinished_step(runs.path_of(meant), [step.name for step in runs.get(meant).steps])
    when = f"when the current step, {at_work[0]!r}, has ended" if at_work else "before its next step"
    print(f"run {meant} was asked to end: it ends {when}")
    return ExitCode.OK
