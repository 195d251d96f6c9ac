"""The entry point: registers the verbs, and turns every exception into a message and an exit code.

A user's mistake becomes a message without a traceback, an interruption an exit code. Any other exception is a bug of
the engine: its traceback is written to a file.
"""

import gc
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from engine import __version__
from engine.cli.options import GIVEN_OPTIONS
from engine.cli.standard_streams import set_up_standard_streams
from engine.errors import EngineError, SpecError, UsageError
from engine.outcome import ExitCode
from engine.spec import diagnostics

EXIT_SECONDS = 5.0
"""Seconds that threads of users' functions may take to end after the command has."""

VERBS = (
    "init", "validate", "render", "schema", "plan", "run", "watch", "serve", "show", "compare", "report", "check",
    "drill", "mute", "unmute", "pause", "resume", "outbox", "remove", "prune", "deploy", "deployments", "rollback",
    "status", "bundle", "node", "state",
)  # fmt: skip
"""The verbs, in the order of `--help`: each is a module of this package."""


class _Verb(TyperCommand):
    """A verb. An option that takes one value is refused if it is given twice: the first would be lost in silence."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        _, _, given = self.make_parser(ctx).parse_args(args=list(args))
        for option in given:
            ctx.meta.setdefault(GIVEN_OPTIONS, []).append(option.name)
            if option.param_type_name == "option" and not option.multiple and given.count(option) > 1:
                raise typer.BadParameter("it was given twice, but takes one value", param_hint=option.opts[0])
        return super().parse_args(ctx, args)


class _Verbs(Mapping[str, Any]):
    """The verbs by name. A module is imported when its verb is asked for: the others are no part of a command."""

    def __getitem__(self, name: str) -> Any:
        if name not in VERBS:
            raise KeyError(name)
        module = import_module(f"engine.cli.{name}")
        holder = typer.Typer(rich_markup_mode=None)
        if hasattr(module, "COMMANDS"):
            _add_group(holder, name, module.__doc__, module.COMMANDS)
        else:
            holder.command(name, cls=_Verb)(module.command)
        return typer.main.get_group(holder).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class _Engine(TyperGroup):
    """All verbs."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = _Verbs()


app = typer.Typer(
    name="engine",
    cls=_Engine,
    help="Monitor machine-learning models in production, as declared in a YAML file.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _add_group(parent: typer.Typer, name: str, about: str | None, commands: Mapping[str, Any]) -> None:
    """Add a verb that has verbs, or groups of them, of its own."""
    group = typer.Typer(help=about, rich_markup_mode=None)
    for inner, command in commands.items():
        if isinstance(command, Mapping):
            _add_group(group, inner, about, command)
        else:
            group.command(inner, cls=_Verb)(command)
    parent.add_typer(group, name=name)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"engine {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_print_version, is_eager=True, help="Print the version."),
) -> None:
    """Take the options that belong to no verb."""


def main() -> None:
    """Run the command line and exit with an exit code of the reference page."""
    set_up_standard_streams()
    code = _main()
    _limit_exit(code)
    gc.freeze()  # skip the last garbage collection, a tenth of a short command's time: the process ends anyway
    sys.exit(code)


def _limit_exit(code: int) -> None:
    """End the process some seconds from now, if a function of the user's has left a thread running.

    Python would wait for it, perhaps for ever.
    """
    others = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    left = [thread.name for thread in others if not thread.daemon]
    if not left:
        return

    def end() -> None:
        print(f"engine: ended, although a function has left threads running: {', '.join(left)}", file=sys.stderr)
        sys.stdout.flush()
        os._exit(code)

    timer = threading.Timer(EXIT_SECONDS, end)
    timer.daemon = True
    timer.start()


def _main() -> int:
    try:
        code: int = app(sys.argv[1:] or ["--help"], standalone_mode=False) or ExitCode.OK
        sys.stdout.flush()  # here, where a closed pipe is handled, and not when Python ends
        if code == ExitCode.INTERRUPTED:  # typer has turned the interruption into an exit code
            raise KeyboardInterrupt
        return code
    except typer.TyperException as mistake:
        context = getattr(mistake, "ctx", None)
        verb = context.command_path if context else "engine"
        print(f"engine: error: {_format_mistake(mistake)}\nTry {verb} --help.", file=sys.stderr)
        return ExitCode.USAGE
    except (KeyboardInterrupt, typer.Abort):
        print("engine: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except SpecError as wrong:
        print(diagnostics.render_diagnostics(wrong.diagnostics), file=sys.stderr)
        return ExitCode.USAGE
    except UsageError as mistake:
        print(f"engine: error: {mistake}", file=sys.stderr)
        return ExitCode.USAGE
    except EngineError as error:
        print(f"engine: error: {error}", file=sys.stderr)
        return ExitCode.COULD_NOT_RUN
    except BrokenPipeError:  # the reader (`head`, say) has closed the pipe; the flush at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as bug:  # noqa: BLE001 - the last boundary, also for a panic of polars: reported as a bug
        return _report_bug(bug)


def _format_mistake(mistake: typer.TyperException) -> str:
    """Return the message of a mistake in the arguments, without the phrases of the libraries that found it."""
    text = mistake.format_message().replace("Value error, ", "").replace("Input should be", "must be")
    return re.sub(r"^Invalid value(?: for '?([^:']*)'?)?: ", lambda found: f"{found[1]}: " if found[1] else "", text)


def _report_bug(bug: BaseException) -> int:
    """Write the traceback to a temporary file and print where it is."""
    import platform
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="engine-bug-", suffix=".txt", delete=False, encoding="utf-8"
    ) as report:
        report.write(f"engine {__version__}, Python {platform.python_version()}, {platform.platform()}\n\n")
        report.write("".join(traceback.format_exception(bug)))
    message = f"engine: internal error: {type(bug).__name__}. This is a bug; the details are in {report.name}"
    print(message, file=sys.stderr)
    return ExitCode.COULD_NOT_RUN
