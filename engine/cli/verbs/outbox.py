"""`engine outbox`: drops messages that cannot be delivered, or sends the undelivered and refused ones again."""

import os
from typing import Annotated, Literal

import typer

from engine.cli.options import On, SpecFile, Variables, load_project
from engine.outcome import ExitCode


def command(
    action: Annotated[
        Literal["drop", "retry"],
        typer.Argument(
            metavar="ACTION",
            help="drop: never try to send them again; retry: send them now. Both are recorded.",
            show_default=False,
        ),
    ],
    path: SpecFile,
    messages: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MESSAGE",
            help="Messages by id, as listed by `engine show SPEC --outbox`, or all messages of a run, reporter or "
            "channel, by its id or name. By default all undelivered and refused messages.",
            show_default=False,
        ),
    ] = None,
    var: Variables = None,
    on: On = None,
) -> int:
    """Drop undelivered and refused messages, or send them now."""
    declared = load_project(path, var, on=on)

    from engine.api import Project
    from engine.cli.output import print_warning
    from engine.store import MessageState

    project = Project(declared, os.environ, (print_warning,))
    if action == "drop":
        for dropped in project.drop_messages(*messages or ()):
            print(f"dropped {dropped}")
        return ExitCode.OK
    delivered = project.retry_messages(*messages or ())
    for delivery in delivered:
        reason = f": {delivery.details}" if delivery.details else ""
        print(f"{delivery.state} {delivery.message.reporter} to {delivery.message.channel}{reason}")
    unsent = any(delivery.state in (MessageState.PENDING, MessageState.REFUSED) for delivery in delivered)
    return ExitCode.UNDELIVERED if unsent else ExitCode.OK
