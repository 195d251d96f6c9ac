"""Options that several verbs share."""

from typing import Annotated, Literal

import typer

Format = Annotated[
    Literal["text", "json", "github"],
    typer.Option("--format", help="text for people, json for programs, github for annotations of a pull request."),
]
Vars = Annotated[
    list[str] | None,
    typer.Option("--var", metavar="NAME=VALUE", help="Give a variable another value. May be repeated."),
]


def values(given: list[str] | None) -> dict[str, str]:
    """Return the values of `--var name=value`.

    Raises
    ------
    typer.BadParameter
        One of them has no `=`.
    """
    parts = [text.partition("=") for text in given or []]
    for name, equals, _ in parts:
        if not name or not equals:
            raise typer.BadParameter(f"{name!r} is not NAME=VALUE", param_hint="--var")
    return {name.strip(): value for name, _, value in parts}
