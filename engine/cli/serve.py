"""`engine serve`: runs scenarios when their triggers say so, until it is ended."""

import os
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.cli import restore_garbage_collection

if TYPE_CHECKING:
    from engine.cli.serve_printers import ServePrinter
    from engine.server.listener import Listener
    from engine.spec import ProjectSpec


def command(
    specs: Annotated[
        list[Path],
        typer.Argument(
            metavar="SPEC|FOLDER",
            help="Spec files, folders of them, or folders of infrastructures.",
            show_default=False,
        ),
    ],
    at_once: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Runs at the same time; by default 1 for 2 cores.", show_default=False),
    ] = None,
    drain: Annotated[
        float, typer.Option(min=0, max=3600, metavar="SECONDS", help="How long runs may take when it is to end.")
    ] = 15.0,
    reload: Annotated[bool, typer.Option("--reload", help="Read the specs again when their files change.")] = False,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where it answers HTTP; port 0 is any that is free.")
    ] = "127.0.0.1:7310",
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File of the token that requests must have; else ENGINE_SERVE_TOKEN, or a new one.",
            show_default=False,
        ),
    ] = None,
    behind_proxy: Annotated[
        bool, typer.Option("--behind-proxy", help="A proxy in front of it ends TLS, so it may be reached from outside.")
    ] = False,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate, to answer HTTPS.", show_default=False)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Key of the certificate.", show_default=False)
    ] = None,
    heartbeat_channel: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Channel of the spec that is told at regular times that the server is well.",
            show_default=False,
        ),
    ] = None,
    heartbeat_every: Annotated[str, typer.Option(metavar="DURATION", help="How often it is told: 30s, 5m, 1h.")] = "5m",
    format_: Annotated[
        Literal["text", "json"], typer.Option("--format", help="text for people, json for programs: an object a line.")
    ] = "text",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every entry of the logs.")] = False,
) -> int:
    """Serve the triggers of scenarios: start what is due, tell what has become of it, until Ctrl-C or SIGTERM.

    SIGHUP reads the specs again. When it ends, runs may take some time to end; a second signal kills them. What was
    due while nothing ran is made up for as `catch_up:` of the trigger says.
    """
    from engine.cli.serve_printers import ServePrinter
    from engine.server.listener import TOKEN_VARIABLE, ListenerOptions, create_listener
    from engine.service.deployments.conclusion import ServedInfrastructures, conclude_before_serving
    from engine.service.project_threads import HeartbeatOptions
    from engine.service.server_process import RESTARTED_FOR, ServeOptions, Server
    from engine.spec.value_types import parse_duration

    restore_garbage_collection()
    printer = ServePrinter(format_, verbose=verbose)
    every = parse_duration(heartbeat_every)
    if every is None or every <= timedelta(0):
        raise typer.BadParameter(f"{heartbeat_every!r} is not a duration, such as 5m", param_hint="--heartbeat-every")
    heartbeat = HeartbeatOptions(heartbeat_channel, every) if heartbeat_channel else None
    options = ServeOptions(at_once or max(1, (os.cpu_count() or 1) // 2), drain, reload, heartbeat)
    environ = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}  # runs inherit it

    def tell(text: str) -> None:
        printer.tell("deployment", text)

    conclude_before_serving(specs, environ, tell)
    server = Server(specs, options, printer, environ=environ)
    listener = create_listener(
        server,
        ListenerOptions(listen, token_file, behind_proxy, tls_cert, tls_key),
        os.environ,
        lambda text: printer.tell("problem", text),
    )
    other_release = server.serve([_ToldListener(listener, printer), ServedInfrastructures(specs, environ, tell)])
    if other_release:
        sys.stdout.flush()
        os.dup2(sys.stdout.fileno(), 1)  # the program finds its streams as this one has found them
        # what was printed or given as the token stays valid
        same = {**os.environ, TOKEN_VARIABLE: listener.token, RESTARTED_FOR: other_release}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], same)  # noqa: S606 - the same command
    return 0


@dataclass(frozen=True, slots=True)
class _ToldListener:
    """The listener of a server, whose address is printed."""

    listener: "Listener"
    printer: "ServePrinter"

    def start(self) -> None:
        self.listener.start()
        self.printer.tell("listening", f"answers at {self.listener.url}", url=self.listener.url)
        if (shown := self.listener.choose_shown_url(to_person=sys.stderr.isatty())) != self.listener.url:
            self.printer.show_to_person(f"open {shown}")  # not told to programs: what they keep is read by many

    def stop(self) -> None:
        self.listener.stop()

    def find_mismatch(self, project: "ProjectSpec") -> str:
        server = project.resources.server
        return self.listener.find_mismatch(server.url) if server else ""
