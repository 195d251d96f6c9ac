"""`engine drill`: disturbs a batch in memory, and shows which checks fire and which messages would be sent."""

from typing import Annotated, Any, Literal

import typer

from engine.cli.options import GIVEN_OPTIONS, AsOf, SpecFile, Variables, load_project
from engine.outcome import ExitCode
from engine.spec.disturbances import FORMS, Disturbance, parse_disturbance


def command(
    context: typer.Context,
    path: SpecFile,
    store: Annotated[str, typer.Argument(metavar="STORE", help="The evaluation store.", show_default=False)],
    shift: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=AMOUNT",
            help="Add to each value: card_age=+0.5sd (standard deviations of the reference), card_age=+10%, "
            "card_age=-3; paid_on=+3d for dates (w, d, h, m, s). Whole numbers stay whole.",
        ),
    ] = None,
    scale: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=FACTOR", help="Multiply each value, as a wrong unit would: amount=100."),
    ] = None,
    missing: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=SHARE", help="Remove the value in a share of the rows: card_age=10%."),
    ] = None,
    category: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN=VALUE:SHARE",
            help="Set a value in a share of the rows; it may be new: country=Atlantis:20%.",
        ),
    ] = None,
    drop: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="Remove a column: card_age.")] = None,
    shuffle: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Shuffle the values of a column: card_age. This keeps its distribution but destroys its relation to "
            "other columns.",
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Keep only N of the rows: 500.", show_default=False),
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SCENARIO",
            help="A scenario to run. Can be repeated. By default: of the scenarios in run:, the last that builds the "
            "store and those after it; if none builds it, the last scenario of the spec that does.",
            show_default=False,
        ),
    ] = None,
    var: Variables = None,
    as_of: AsOf = None,
    format_: Annotated[
        Literal["text", "json"], typer.Option("--format", help="text for people, json for programs.")
    ] = "text",
) -> int:
    """Disturb the batch in memory; show which checks fire and which messages would be sent. Stores and sends nothing.

    Disturbances can be repeated and are applied in order. A share of the rows is chosen by a hash of their content, so
    it is the same each time. Exit code 0: a check fires or a step fails that does not without the disturbances.
    Exit code 1: nothing would have alerted you.
    """
    disturbances = _parse_in_order(context)
    project = load_project(path, var, as_of)

    from engine.cli import output
    from engine.cli.printers import drill_printers
    from engine.scenarios.drill import drill_store

    with output.show_progress(verbose=False) as listen:
        drilled = drill_store(project, store, disturbances, scenarios=scenario or (), listeners=[listen])
    code = ExitCode.OK if drilled.heard else ExitCode.CHECK_ERROR
    drill_printers.print_drill(drilled, code, format_)
    return code


def _parse_in_order(context: typer.Context) -> list[Disturbance]:
    """Parse the disturbances in the order of the command line."""
    left: dict[str, list[Any]] = {}
    for kind in FORMS:
        given = context.params.get(kind)
        left[kind] = list(given or ()) if isinstance(given, list | tuple) else [given]
    return [parse_disturbance(name, str(left[name].pop(0))) for name in context.meta[GIVEN_OPTIONS] if name in left]
