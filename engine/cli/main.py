"""The entry point: runs a verb, and turns every exception into a message and an exit code.

A user's mistake gives a message without a traceback, an interruption an exit code. Any other exception is a bug of the
engine: its traceback is written to a file.
"""

import gc
import os
import sys
import threading
from collections.abc import Sequence

from engine import __version__
from engine.cli.plain_arguments import answer_plain_arguments
from engine.cli.standard_streams import find_lost_answer, set_up_standard_streams
from engine.errors import EngineError, SpecError, UsageError
from engine.outcome import ExitCode
from engine.spec import diagnostics

EXIT_SECONDS = 5.0
"""Maximum time in seconds for threads of users' functions to end after the command."""


def main() -> None:
    """Run the command line and exit with an exit code of the reference page."""
    set_up_standard_streams()
    code = _main()
    _limit_exit(code)
    gc.freeze()  # skips the last garbage collection, a tenth of a short command's time: the process ends anyway
    sys.exit(code)


def _limit_exit(code: int) -> None:
    """End the process after some seconds if a user's function has left a thread running.

    Python would wait for it, perhaps forever.
    """
    others = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    left = [thread.name for thread in others if not thread.daemon]
    if not left:
        return

    def end() -> None:
        running = f"threads of a function are still running: {', '.join(left)}"
        print(f"engine: the process ends although {running}", file=sys.stderr)
        sys.stdout.flush()
        os._exit(code)

    timer = threading.Timer(EXIT_SECONDS, end)
    timer.daemon = True
    timer.start()


def _main() -> int:
    try:
        answered = answer_plain_arguments(sys.argv[1:])
        code = _run_verb(sys.argv[1:]) if answered is None else int(answered)
        lost = find_lost_answer()
        if code == ExitCode.INTERRUPTED:  # typer has turned the interruption into an exit code
            raise KeyboardInterrupt
        if lost:
            message = f"standard output cannot be written: {lost.strerror}; it is incomplete"
            print(f"engine: error: {message}", file=sys.stderr)
        return code or (ExitCode.COULD_NOT_RUN if lost else ExitCode.OK)
    except KeyboardInterrupt:
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
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as bug:  # noqa: BLE001 - the last handler, also for a panic of polars: reported as a bug
        return _report_bug(bug)


def _run_verb(arguments: Sequence[str]) -> int:
    """Run a verb by its arguments; return an exit code, also for a mistake in the arguments."""
    import typer

    from engine.cli.argument_mistakes import describe_mistake
    from engine.cli.command_line import app

    try:
        code: int = app([*arguments] or ["--help"], standalone_mode=False) or ExitCode.OK
    except typer.TyperException as mistake:
        context = getattr(mistake, "ctx", None)
        verb = context.command_path if context else "engine"
        print(f"engine: error: {describe_mistake(mistake, [*arguments])}\nTry {verb} --help.", file=sys.stderr)
        return ExitCode.USAGE
    except typer.Abort:
        raise KeyboardInterrupt from None
    return code


def _report_bug(bug: BaseException) -> int:
    """Write the traceback to a temporary file and print where it is."""
    import platform
    import tempfile
    import traceback

    details = f"engine {__version__}, Python {platform.python_version()}, {platform.platform()}\n\n"
    details += "".join(traceback.format_exception(bug))
    message = f"engine: internal error: {type(bug).__name__}. This is a bug; the details are"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="engine-bug-", suffix=".txt", delete=False, encoding="utf-8"
        ) as report:
            report.write(details)
        print(f"{message} in {report.name}", file=sys.stderr)
    except OSError as error:
        print(f"{message} below, as no file can be written ({error.strerror}):\n{details}", file=sys.stderr)
    return ExitCode.COULD_NOT_RUN
