"""Treat signals that end a program as interruptions, so that running work ends in order."""

import signal
from types import FrameType
from typing import NoReturn


def treat_signals_as_interruptions() -> None:
    """Make a run whose process or terminal is ended stop like an interrupted one: ABORTED, with its messages.

    A signal that is ignored stays ignored: `nohup engine run` continues when the terminal is closed.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)
