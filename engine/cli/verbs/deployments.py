"""`engine deployments`: lists the deployments of a spec, shows one, switches one off, or deletes one."""

import os
import sys
from typing import Annotated, Literal

import typer

from engine.cli.options import SpecFile, TextOrJson, Variables, load_project
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    action: Annotated[
        Literal["show", "disable", "delete"] | None,
        typer.Argument(
            metavar="ACTION",
            help="show: list its operations; disable: stop its triggers until it is deployed again; delete: remove it "
            "with its state, including rows in a database. By default all deployments are listed.",
            show_default=False,
        ),
    ] = None,
    deployment: Annotated[
        str | None, typer.Argument(metavar="DEPLOYMENT", help="The deployment of the spec.", show_default=False)
    ] = None,
    keep_state: Annotated[bool, typer.Option("--keep-state", help="With delete: keep the state.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    var: Variables = None,
    format_: TextOrJson = "text",
) -> int:
    """List the deployments of a spec with their active bundles; show, disable or delete one."""
    if action is not None and deployment is None:
        raise typer.BadParameter(f"give the deployment: engine deployments SPEC {action} DEPLOYMENT")
    if keep_state and action != "delete":
        raise typer.BadParameter("--keep-state is an option of delete")
    project = load_project(path, var)

    from engine.cli.printers import deployment_printers
    from engine.service.deployments.deploying import delete_deployment, disable_deployment
    from engine.service.deployments.deployment_list import list_deployments, list_operations

    if action is None or deployment is None:
        deployment_printers.print_deployments(list_deployments(project, os.environ), format_)
    elif action == "show":
        deployment_printers.print_operations(list_operations(project, deployment, os.environ), format_)
    elif action == "disable":
        if not _is_confirmed(f"Stop all triggers of {deployment}?", yes=yes):
            return ExitCode.OK
        return deployment_printers.print_operation(disable_deployment(project, deployment, environ=os.environ), format_)
    else:
        what = "its files, but not its state" if keep_state else "its state, its evaluations and its files"
        if _is_confirmed(f"Delete {deployment} with {what}?", yes=yes):
            removed = delete_deployment(project, deployment, os.environ, keep_state=keep_state)
            print(f"{deployment}: {f'removed {removed}' if removed else 'nothing is deployed, nothing was removed'}")
    return ExitCode.OK


def _is_confirmed(question: str, *, yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise typer.BadParameter("cannot ask for confirmation without a terminal; use --yes to do it without")
    if typer.confirm(question, err=True):
        return True
    print("nothing was changed")
    return False
