"""`engine remove`: removes evaluations from a store, after a confirmation, and records the user and the time."""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import Variables, load_project, parse_pairs
from engine.formatting.lists import join_some
from engine.outcome import ExitCode

SHOWN_NAMES = 10
"""Names of evaluations that the question lists."""


def command(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)],
    store: Annotated[str, typer.Argument(metavar="STORE", help="The evaluation store.", show_default=False)],
    evaluations: Annotated[
        list[str] | None,
        typer.Argument(metavar="EVALUATION", help="The names or ids of the evaluations.", show_default=False),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all evaluations of the store.")] = False,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Only evaluations with this label. Can be repeated."),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only evaluations created before this day, or time of a day, in UTC."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    var: Variables = None,
) -> int:
    """Remove evaluations from a store, with their files. Asks for confirmation."""
    labels = parse_pairs(label, "--label", "KEY=VALUE")
    until = _parse_time(before) if before is not None else None
    chosen_by = bool(evaluations or labels or before)
    if everything and chosen_by:
        raise typer.BadParameter("takes no EVALUATION, --label or --before beside it", param_hint="--all")
    if not everything and not chosen_by:
        raise typer.BadParameter("name the evaluations to remove, or use --label, --before or --all")
    declared = load_project(path, var)

    from engine.api import Project

    one = Project(declared, os.environ).store(store)
    chosen = one.find(*(evaluations or ()), labels=labels, before=until)
    if not chosen:
        print(f"{store}: no evaluation to remove")
        return ExitCode.OK
    names = [evaluation.name for evaluation in chosen]
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("cannot ask for confirmation without a terminal; use --yes to remove without it")
        counted = [
            f"{name} ({names.count(name)} evaluations)" if names.count(name) > 1 else name
            for name in dict.fromkeys(names)
        ]
        if not typer.confirm(f"Remove {join_some(counted, SHOWN_NAMES)} from {store}?", err=True):
            print("nothing was removed")
            return ExitCode.OK
    # By their ids: what came in the meantime was not confirmed.
    removed = set(one.remove(*(evaluation.id for evaluation in chosen)))
    gone = [evaluation.name for evaluation in chosen if evaluation.id in removed]
    for name in dict.fromkeys(gone):
        number = gone.count(name)
        print(f"{store}: removed {name}, {number} {'evaluation' if number == 1 else 'evaluations'}")
    return ExitCode.OK


def _parse_time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not a time such as 2026-10-01 or 2026-10-01T12:30", param_hint="--before"
        ) from None
