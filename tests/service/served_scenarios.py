"""Scenarios for `engine serve`, and what is asked of a server."""

from pathlib import Path

from engine.store import Fire, Store, utc_now

from .served import write_project


def write_scenarios(folder: Path, *scenarios: str, before: str = "") -> Path:
    return write_project(folder, before + "scenarios:\n" + "".join(scenarios))


def ask_for_run(state: Path, scenario: str, request: str = "one") -> None:
    """Record a fire as a request would, before a server starts."""
    now = utc_now()
    with Store.open(state) as store:
        assert store.fires.advance([], [Fire(scenario, "manual", f"manual:{request}", scheduled=now, seen_at=now)])
