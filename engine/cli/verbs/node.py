"""Create, list and revoke the tokens that give access to an automation node."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from engine.acting_user import describe_acting_user
from engine.cli.options import TextOrJson, parse_end
from engine.errors import UsageError
from engine.formatting.hints import suggest_name
from engine.formatting.moments import format_minute
from engine.outcome import ExitCode
from engine.spec.variables.moment import find_end

if TYPE_CHECKING:
    from engine.store.node import Node, TokenRow

NodeFile = Annotated[Path, typer.Argument(metavar="NODE", help="The file of the node: node.yaml.", show_default=False)]
TITLES = ("id", "name", "role", "state", "made (UTC)", "by", "expires", "last used")


def create_token(
    path: NodeFile,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of its owner.", show_default=False)],
    role: Annotated[
        Literal["viewer", "operator", "deployer", "admin"],
        typer.Option(
            "--role",
            help="Permissions of the token. viewer: read; operator: also start and abort runs; deployer: also deploy; "
            "admin: also delete.",
            show_default=False,
        ),
    ],
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires", metavar="DURATION|DATE", help="When the token expires: 90d or 2027-03-31; by default never."
        ),
    ] = None,
    format_: TextOrJson = "text",
) -> int:
    """Create a token and print it; it is shown only once.

    Two valid tokens may have the same name, so that you can replace a token before you revoke the old one.
    """
    from engine.spec.rules.names import explain_illegal_name

    if why := explain_illegal_name(name):
        raise typer.BadParameter(f"this cannot be a name: {why}", param_hint="NAME")
    with _open_node(path) as node:
        end = _read_end(expires, node.database.now())
        token, row = node.tokens.create(name, role, describe_acting_user(), end)
        valid = [one for one in node.tokens.list_all() if one.name == name and not one.explain_end(node.database.now())]
    if format_ == "json":
        print(json.dumps({"token": token, **_describe_token(row, "valid")}, indent=1))
        return ExitCode.OK
    until = f"until {format_minute(end)}" if end else "without an end"
    print(f"{name}: {role}, {until}; the token is shown now and never again", file=sys.stderr)
    print(token)
    if others := [one.id for one in valid if one.id != row.id]:
        how = f"engine node token revoke {path} {others[0]}"
        print(f"{others[0]} of {name} is still valid; to revoke it: {how}", file=sys.stderr)
    return ExitCode.OK


def list_tokens(path: NodeFile, format_: TextOrJson = "text") -> int:
    """List the tokens with their roles and expiry times, including tokens that are no longer valid."""
    with _open_node(path) as node:
        now = node.database.now()
        found = [(row, row.explain_end(now) or "valid") for row in node.tokens.list_all()]
    if format_ == "json":
        print(json.dumps([_describe_token(*one) for one in found], indent=1))
        return ExitCode.OK
    if not found:
        print(f"no tokens yet: engine node token create {path} NAME --role ROLE creates one")
        return ExitCode.OK
    lines = [TITLES, *(_format_token(*one) for one in found)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(TITLES))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    return ExitCode.OK


def revoke_token(
    path: NodeFile,
    token: Annotated[str, typer.Argument(metavar="TOKEN", help="The id or the name of the token.", show_default=False)],
) -> int:
    """Revoke a token, so that it no longer gives access to the node."""
    with _open_node(path) as node:
        row = _find_token(node, token)
        end = row.explain_end(node.database.now())
        node.tokens.revoke(row)
    print(f"{row.id} of {row.name}: {f'{end} already' if end else 'revoked'}")
    return ExitCode.OK


COMMANDS = {"token": {"create": create_token, "list": list_tokens, "revoke": revoke_token}}


@contextmanager
def _open_node(path: Path) -> "Iterator[Node]":
    """Open the database of a node, given its file; raises SpecError if the file is invalid."""
    from engine.spec.reading.node_file import load_node
    from engine.store.node import Node

    with Node.open(load_node(path).node_folder) as node:
        yield node


def _find_token(node: "Node", wanted: str) -> "TokenRow":
    """Return the token with an id, or the only valid one with a name; raises UsageError."""
    rows = node.tokens.list_all()
    if found := next((row for row in rows if row.id == wanted), None):
        return found
    named = [row for row in rows if row.name == wanted]
    valid = [row for row in named if not row.explain_end(node.database.now())]
    if len(valid) > 1:
        ids = " and ".join(row.id for row in valid)
        raise UsageError(f"{wanted!r} has {len(valid)} valid tokens, {ids}: give the id of one of them")
    if not named:
        hint = suggest_name(wanted, list(dict.fromkeys(row.name for row in rows)))
        raise UsageError(f"the node has no token of the id or name {wanted[:60]!r}{hint}")
    return (valid or named)[-1]


def _read_end(text: str | None, now: datetime) -> datetime | None:
    if text is None:
        return None
    try:
        return find_end(parse_end(text, "--expires"), "a token", now, UTC)
    except ValueError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--expires") from None


def _describe_token(row: "TokenRow", state: str) -> dict[str, Any]:
    """Return a token without its digest, ready for JSON."""
    found = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in asdict(row).items()}
    return {key: value for key, value in found.items() if key != "digest"} | {"valid": state == "valid"}


def _format_token(row: "TokenRow", state: str) -> tuple[str, ...]:
    made, expires, used = (
        format_minute(one).removesuffix(" UTC") if one else "never" for one in (row.made, row.expires, row.last_used)
    )
    return row.id, row.name, row.role, state, made, row.made_by, expires, used
