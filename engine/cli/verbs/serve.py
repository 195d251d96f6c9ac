"""`engine serve`: runs scenarios when their triggers are due, until it is stopped."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from engine.cli import restore_garbage_collection
from engine.cli.options import GIVEN_OPTIONS

if TYPE_CHECKING:
    from engine.cli.printers.serve_printers import ServePrinter
    from engine.server.listener import Listener
    from engine.service.served_node import ServedNode
    from engine.service.server_process import Server
    from engine.spec import ProjectSpec
    from engine.spec.reading.node_file import NodeSpec


def command(
    context: typer.Context,
    specs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[SPEC|FOLDER]...",
            help="Spec files, folders of spec files, or folders of infrastructures.",
            show_default=False,
        ),
    ] = None,
    node_file: Annotated[
        Path | None,
        typer.Option(
            "--node",
            metavar="FILE",
            help="Run the automation node of this file (node.yaml): accept deployments from others and serve all of "
            "them.",
            show_default=False,
        ),
    ] = None,
    at_once: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Maximum number of concurrent runs; by default 1 per 2 cores.", show_default=False
        ),
    ] = None,
    drain: Annotated[
        float,
        typer.Option(
            min=0, max=3600, metavar="SECONDS", help="How long runs may continue after shutdown is requested."
        ),
    ] = 15.0,
    reload: Annotated[bool, typer.Option("--reload", help="Reload the specs when their files change.")] = False,
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Address to listen on for HTTP; port 0 means any free port.")
    ] = "127.0.0.1:7310",
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="File with the token that requests must contain; by default ENGINE_SERVE_TOKEN, or else a new token.",
            show_default=False,
        ),
    ] = None,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy", help="A proxy in front of the server terminates TLS, so other machines may reach it."
        ),
    ] = False,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate for HTTPS.", show_default=False)
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Private key of the certificate.", show_default=False)
    ] = None,
    heartbeat_channel: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Channel of the spec for regular messages that the server is running.",
            show_default=False,
        ),
    ] = None,
    heartbeat_every: Annotated[
        str, typer.Option(metavar="DURATION", help="How often to send them: 30s, 5m, 1h.")
    ] = "5m",
    format_: Annotated[
        Literal["text", "json"],
        typer.Option("--format", help="text for people, json for programs: one object per line."),
    ] = "text",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every entry of the logs.")] = False,
) -> int:
    """Run scenarios when their triggers are due, and report the results, until Ctrl-C or SIGTERM.

    SIGHUP reloads the specs, or the file of the node. On shutdown, runs get some time to end; a second signal kills
    them. `catch_up:` of a trigger decides about runs that were due while the server was down.
    """
    from engine.cli.printers.serve_printers import ServePrinter
    from engine.server.listener import TOKEN_VARIABLE, ListenerOptions, create_listener
    from engine.service.deployments.conclusion import ServedInfrastructures, conclude_before_serving
    from engine.service.project_threads import HeartbeatOptions
    from engine.service.served_node import ServedNode
    from engine.service.server_process import RESTARTED_FOR, Companion, ServeOptions, Server
    from engine.spec.validation.value_types import parse_duration

    restore_garbage_collection()
    printer = ServePrinter(format_, verbose=verbose)
    every = parse_duration(heartbeat_every)
    if every is None or every <= timedelta(0):
        raise typer.BadParameter(f"{heartbeat_every!r} is not a duration, such as 5m", param_hint="--heartbeat-every")
    heartbeat = HeartbeatOptions(heartbeat_channel, every) if heartbeat_channel else None
    if node_file is None:
        if not specs:
            raise typer.BadParameter("give a spec or a folder to serve, or the file of a node: --node node.yaml")
        node, listens = None, ListenerOptions(listen, token_file, behind_proxy, tls_cert, tls_key)
    else:
        _refuse_options_of_node(context, specs)
        node = ServedNode(node_file, os.environ, printer)
        listens = ListenerOptions.of_node(node.spec)
        specs, at_once = [node.spec.node_folder], node.spec.resources.limits.runs_at_once
    options = ServeOptions(at_once or _count_usual_runs(), drain, reload, heartbeat)
    environ = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}  # runs inherit it

    def print_event(text: str) -> None:
        printer.report("deployment", text)

    conclude_before_serving(specs or (), environ, print_event, node.spec.path if node else None)
    read_settings = node.read_again if node else _keep_settings
    server = Server(specs or (), options, printer, environ=environ, read_settings=read_settings)

    def print_problem(text: str) -> None:
        printer.report("problem", text)

    api = None
    if node:
        from engine.server.node_api.application import NodeApi

        api = NodeApi(server, node.node, lambda: node.spec, environ, print_problem)
    listener = create_listener(server, listens, os.environ, print_problem, node, api)
    if node:
        node.followers += [listener.read_certificate, partial(_limit_runs, server)]
    infrastructures = ServedInfrastructures(specs or (), environ, print_event, node.spec.path if node else None)
    companions: list[Companion] = [_ToldListener(listener, printer, node), infrastructures, *([api] if api else [])]
    other_release = server.serve(companions)
    if node:
        node.close()
    if other_release:
        sys.stdout.flush()
        os.dup2(sys.stdout.fileno(), 1)  # the new program must find the streams as this one did
        # the token that was printed or given stays valid
        token = {TOKEN_VARIABLE: listener.token} if listener.token else {}
        same = {**os.environ, **token, RESTARTED_FOR: other_release}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], same)  # noqa: S606 - the same command
    return 0


OPTIONS_OF_NODE = {
    "at_once": "the key limits.runs_at_once of its file decides this",
    "listen": "the key listen of its file decides this",
    "behind_proxy": "the key behind_proxy of its file decides this",
    "tls_cert": "the key tls.certificate of its file decides this",
    "tls_key": "the key tls.key of its file decides this",
    "token_file": "a node has tokens of its own: engine node token create NODE NAME --role ROLE creates one",
    "reload": "a node loads each deployment by itself, and reloads its file on SIGHUP",
}
"""Options that do not apply to a node, and why."""


def _refuse_options_of_node(context: typer.Context, specs: Sequence[Path] | None) -> None:
    """Reject options that the file of the node decides."""
    if specs:
        message = f"{specs[0]} was given too, but a node serves only the deployments on it"
        raise typer.BadParameter(message, param_hint="--node")
    for name in context.meta.get(GIVEN_OPTIONS, ()):
        if why := OPTIONS_OF_NODE.get(name):
            raise typer.BadParameter(f"not with --node: {why}", param_hint=f"--{name.replace('_', '-')}")


def _keep_settings() -> None:
    """Do nothing on reload: the settings come from the command line."""


def _count_usual_runs() -> int:
    """Return the default number of concurrent runs: 1 per 2 cores."""
    return max(1, (os.cpu_count() or 1) // 2)


def _limit_runs(server: "Server", node: "NodeSpec") -> str:
    server.limit_runs(node.resources.limits.runs_at_once or _count_usual_runs())
    return ""


@dataclass(frozen=True, slots=True)
class _ToldListener:
    """The listener of a server; prints its address."""

    listener: "Listener"
    printer: "ServePrinter"
    node: "ServedNode | None"

    def start(self) -> None:
        self.listener.start()
        who = f"node {self.node.spec.name}: " if self.node else ""
        self.printer.report("listening", f"{who}answers at {self.listener.url}", url=self.listener.url)
        url = self.node.spec.resources.url if self.node else None
        if url and (mismatch := self.listener.find_mismatch(url, "url")):
            self.printer.report("warning", mismatch)
        if (shown := self.listener.choose_shown_url(to_person=sys.stderr.isatty())) != self.listener.url:
            self.printer.show_to_person(f"open {shown}")  # not for programs, whose output others may read

    def stop(self) -> None:
        self.listener.stop()

    def find_mismatch(self, project: "ProjectSpec") -> str:
        if self.node:
            return ""  # links of a node begin with its own address, whatever a bundle declares
        server = project.resources.server
        return self.listener.find_mismatch(server.url) if server else ""
