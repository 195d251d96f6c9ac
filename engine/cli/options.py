"""Options that several verbs share."""

from typing import Annotated, Literal

import typer

Format = Annotated[
    Literal["text", "json", "github"],
    typer.Option("--format", help="text for people, json for programs, github for annotations of a pull request."),
]
TableFormat = Annotated[
    Literal["text", "json", "csv"],
    typer.Option("--format", help="text for people, json for programs, csv for spreadsheets."),
]
Vars = Annotated[
    list[str] | None,
    typer.Option("--var", metavar="NAME=VALUE", help="Give a variable another value. May be repeated."),
]


def values(given: list[str] | None) -> dict[str, str]:
    """Return the values of `--var name=value`; raises typer.BadParameter where one of them has no `=`."""
    return pairs(given, "--var", "NAME=VALUE")


def pairs(given: list[str] | None, option: str, form: str) -> dict[str, str]:
    """Return what a repeated option says by name.

    Raises
    ------
    typer.BadParameter
        One of them is not of that form.
    """
    parts = [text.partition("=") for text in given or []]
    for name, equals, _ in parts:
        if not name or not equals:
            raise typer.BadParameter(f"{name!r} is not {form}", param_hint=option)
    return {name.strip(): value for name, _, value in parts}
