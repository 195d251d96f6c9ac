"""Options that several verbs have in common."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from engine import spec
from engine.formatting.redacted_output import redact_standard_streams

Format = Annotated[
    Literal["text", "json", "github"],
    typer.Option("--format", help="text for people, json for programs, github for annotations of a pull request."),
]
TableFormat = Annotated[
    Literal["text", "json", "csv"],
    typer.Option("--format", help="text for people, json for programs, csv for spreadsheets."),
]
GIVEN_OPTIONS = "engine.given_options"
"""The key of `meta` of typer's context under which the names of all options are, in the order in which they stand."""

Variables = Annotated[
    list[str] | None,
    typer.Option("--var", metavar="NAME=VALUE", help="Set a variable to another value. Can be repeated."),
]


def load_project(path: Path, variables: list[str] | None) -> spec.ProjectSpec:
    """Read and validate a spec; from now on the values of its secrets are masked in everything that is printed.

    Raises
    ------
    SpecError
        The spec is invalid.
    typer.BadParameter
        A variable has no `=`.
    """
    project = spec.load(path, parse_variables(variables))
    if project.secrets:
        redact_standard_streams(spec.Secrets(project).redact)
    return project


def parse_variables(given: list[str] | None) -> dict[str, str]:
    """Parse the values of `--var name=value`; raises typer.BadParameter if one has no `=`."""
    return parse_pairs(given, "--var", "NAME=VALUE")


def parse_pairs(given: list[str] | None, option: str, form: str) -> dict[str, str]:
    """Parse the `name=value` pairs of a repeated option.

    Raises
    ------
    typer.BadParameter
        A pair has no name or no `=`; the message names the expected `form`.
    """
    parts = [text.partition("=") for text in given or []]
    for name, equals, _ in parts:
        if not name or not equals:
            raise typer.BadParameter(f"{name!r} is not {form}", param_hint=option)
    return {name.strip(): value for name, _, value in parts}
