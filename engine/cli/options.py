"""Options that several verbs share."""

import os
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine import spec
from engine.cli.standard_streams import mask_secrets
from engine.spec.variables.moment import parse_moment

if TYPE_CHECKING:
    from engine.service.deployments.node.client.client import NodeClient
    from engine.spec import ProjectSpec

Format = Annotated[
    Literal["text", "json", "github"],
    typer.Option("--format", help="text for people, json for programs, github for annotations of a pull request."),
]
TableFormat = Annotated[
    Literal["text", "json", "csv"],
    typer.Option("--format", help="text for people, json for programs, csv for spreadsheets."),
]
TextOrJson = Annotated[Literal["text", "json"], typer.Option("--format", help="text for people, json for programs.")]
SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)]
On = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="DEPLOYMENT",
        help="Work on a deployment of the spec, with its active bundle and its state.",
        show_default=False,
    ),
]
GIVEN_OPTIONS = "engine.given_options"
"""The key in `meta` of typer's context for the names of all given options, in their order."""

Variables = Annotated[
    list[str] | None,
    typer.Option("--var", metavar="NAME=VALUE", help="Set a variable to another value. Can be repeated."),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="DATE",
        help="The moment to use instead of now, available as ${as_of} in the spec: 2026-11-28 or 2026-11-28T02:30.",
        show_default=False,
    ),
]


def load_project(
    path: Path, variables: list[str] | None, as_of: str | None = None, on: str | None = None
) -> "ProjectSpec":
    """Read and validate a spec; from now on the values of its secrets are masked in everything printed.

    Parameters
    ----------
    on
        The name of a deployment of the spec, whose active revision is read instead.

    Raises
    ------
    SpecError
        The spec is invalid.
    UsageError
        The spec has no such deployment, or nothing is deployed there.
    typer.BadParameter
        A variable has no `=`, or `as_of` is not a date or time.
    """
    moment = parse_as_of(as_of)
    if on is not None:
        from engine.service.deployments.deployed_spec import find_deployed_spec

        path = find_deployed_spec(spec.load(path), on)
    project = spec.load(path, parse_variables(variables), as_of=moment)
    mask_secrets(project)
    return project


def parse_as_of(text: str | None) -> date | datetime | None:
    """Parse the value of `--as-of`; raises typer.BadParameter if it is not a date or time."""
    try:
        return None if text is None else parse_moment(text)
    except ValueError as problem:
        raise typer.BadParameter(str(problem), param_hint="--as-of") from None


def find_node_of(path: Path, deployment: str) -> "NodeClient | None":
    """Return a client of the node of a spec's deployment; None if the deployment is in a folder of this machine."""
    from engine.service.deployments.settings import get_deployment
    from engine.service.deployments.targets import is_node, open_node

    project = spec.load(path)
    infrastructure = get_deployment(project, deployment).infrastructure
    if not is_node(project, infrastructure):
        return None
    mask_secrets(project)
    return open_node(project, infrastructure, os.environ)


def refuse_on_node(given: Mapping[str, object]) -> None:
    """Reject options that do not apply to a deployment on a node.

    Raises
    ------
    typer.BadParameter
        One of them was given.
    """
    from engine.service.deployments.deployed_spec import ON_NODE

    if wrong := [name for name, value in given.items() if value]:
        raise typer.BadParameter(f"{', '.join(wrong)}: not for a deployment on a node; {ON_NODE}")


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


def parse_time(text: str, option: str) -> datetime:
    """Parse the value of an option as an ISO date or time, in UTC by default.

    Raises
    ------
    typer.BadParameter
        The text is neither.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        message = f"{text[:60]!r} is not a time such as 2026-11-28 or 2026-11-28T09:30"
        raise typer.BadParameter(message, param_hint=option) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_end(text: str, option: str = "--until") -> date | datetime | timedelta:
    """Parse the value of an option: a date, a time, or a duration from now on; raises typer.BadParameter otherwise."""
    from engine.spec.validation.value_types import parse_duration

    try:
        return parse_duration(text.strip()) or parse_moment(text.strip())
    except ValueError:
        message = (
            f"{text[:60]!r} is not a date such as 2026-12-01, a time such as 2026-12-01T09:30 or a duration such as 7d"
        )
        raise typer.BadParameter(message, param_hint=option) from None
