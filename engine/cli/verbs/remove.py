"""`engine remove`: removes evaluations from a store, after a confirmation, and records the user and the time."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import On, SpecFile, Variables, load_project, parse_pairs, parse_time
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_count
from engine.outcome import ExitCode

if TYPE_CHECKING:
    from engine.evaluation.record import Evaluation


def command(
    path: SpecFile,
    store: Annotated[str, typer.Argument(metavar="STORE", help="The evaluation store.", show_default=False)],
    evaluations: Annotated[
        list[str] | None,
        typer.Argument(metavar="EVALUATION", help="The names or ids of the evaluations.", show_default=False),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove all evaluations of the store.")] = False,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Remove evaluations with this label. If repeated, evaluations with all of these labels.",
        ),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Remove evaluations before this time: 2026-11-28 or 2026-11-28T09:30, in UTC unless it has an offset.",
        ),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            metavar="DEPLOYMENT",
            help="Remove evaluations copied from this deployment by engine pull, which does not copy them again.",
            show_default=False,
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    var: Variables = None,
    on: On = None,
) -> int:
    """Remove evaluations that meet all given conditions from a store, with their files. Asks for confirmation."""
    labels = parse_pairs(label, "--label", "KEY=VALUE")
    moment = parse_time(before, "--before") if before is not None else None
    if not (evaluations or everything or labels or before or origin):
        raise typer.BadParameter("give evaluations, or choose them by --label, --before, --origin or --all")
    if everything and (evaluations or labels or before):
        raise typer.BadParameter("--all removes all evaluations: leave it out to remove only some of them")
    declared = load_project(path, var, on=on)

    from engine.api import Project
    from engine.cli.output import print_warning

    one = Project(declared, os.environ, (print_warning,)).store(store)
    chosen = one.select(*(evaluations or ()), labels=labels, before=moment, origin=origin)
    if not chosen:
        print(f"{store}: nothing was removed, because no evaluation meets the conditions")
        return ExitCode.OK
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("cannot ask for confirmation without a terminal; use --yes to remove without it")
        if not typer.confirm(f"Remove {_list_names(chosen)} from {store}?", err=True):
            print("nothing was removed")
            return ExitCode.OK
    removed = set(one.remove(*chosen))
    for name, number in _count_names([each for each in chosen if each.id in removed]).items():
        print(f"{store}: removed {name}, {format_count(number, 'evaluation')}")
    return ExitCode.OK


def _count_names(evaluations: Sequence["Evaluation"]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for one in evaluations:
        counts[one.name] = counts.get(one.name, 0) + 1
    return counts


def _list_names(evaluations: Sequence["Evaluation"]) -> str:
    """Return a text for what would be removed: `w1`, or `12 evaluations (w1, w2 and 10 more)`."""
    counts = _count_names(evaluations)
    names = join_some([f"{name} ({times} evaluations)" if times > 1 else name for name, times in counts.items()])
    return names if len(evaluations) == 1 or len(counts) == 1 else f"{len(evaluations)} evaluations ({names})"
