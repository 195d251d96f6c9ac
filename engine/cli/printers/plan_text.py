"""Render a plan as text: one line per action with its reason, and one line for all reused results."""

import sys
from collections.abc import Iterable, Sequence
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from engine.formatting.control_characters import escape_controls
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_count
from engine.pipeline.actions import Action, ActionCause, Change, ReadSource
from engine.scenarios.plan import Plan, ScenarioPlan, StepPlan
from engine.spec import diagnostics

DEFAULT_WIDTH = 100
"""Width of the text if standard output is not a terminal."""
ACTION_SIGNS: dict[ActionCause, tuple[str, str]] = {
    "new": ("+", "green"),
    "changed": ("~", "yellow"),
    "forced": ("!", "magenta"),
    "reused": ("=", "dim"),
    "always": ("·", ""),
    "depends": ("?", "cyan"),
    "never": ("-", "dim"),
}
MIN_WIDTH = 30
"""Minimum width of a line, however deep it is indented."""
SHOWN_FILES = 3
"""Maximum number of listed files of a dataset."""
SHOWN_CHANGES = 6
"""Maximum number of listed changes of an action."""


def render_plan(plan: Plan, *, colour: bool) -> str:
    """Return the plan as text: the scenarios, a summary of the work, then errors and warnings."""
    console = Console(
        highlight=False,
        width=None if sys.stdout.isatty() else DEFAULT_WIDTH,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
    )
    with console.capture() as captured:
        for scenario in plan.scenarios:
            _print_scenario(scenario, console, 0)
        _print_line(console, 0, (_summarize_plan(plan), "bold"))
    text = "\n".join(line.rstrip() for line in captured.get().rstrip().splitlines())
    findings = diagnostics.render_diagnostics(plan.findings, colour=colour)
    return f"{text}\n\n{findings}" if findings else text


def _print_line(console: Console, indent: int, *parts: tuple[str, str]) -> None:
    """Print a line made of styled parts; if it is too long, its continuation is indented further."""
    line = Text.assemble(*((escape_controls(text), style) for text, style in parts))
    first, *rest = line.wrap(console, max(console.width - indent, MIN_WIDTH))
    console.print(Padding(first, (0, 0, 0, indent)))
    if rest:
        for each in rest:
            each.rstrip()
        remaining = Text(" ").join(rest)
        for wrapped in remaining.wrap(console, max(console.width - indent - 4, MIN_WIDTH)):
            console.print(Padding(wrapped, (0, 0, 0, indent + 4)))


def _print_scenario(plan: ScenarioPlan, console: Console, indent: int) -> None:
    _print_line(console, indent, (plan.scenario, "bold"))
    for step in plan.steps:
        _print_step(step, console, indent + 2)
    for action in plan.reporters:
        _print_action(action, console, indent + 2)


def _print_step(plan: StepPlan, console: Console, indent: int) -> None:
    iteration = ", ".join(f"{name} = {value}" for name, value in (plan.turn or {}).items())
    _print_line(console, indent, (plan.name, ""), (f"  {iteration}" if iteration else "", "dim"))
    if plan.runs == "no":
        _print_line(console, indent + 2, ("- skipped: ", "dim"), (plan.reason, "dim"))
    if plan.runs == "depends":
        _print_line(console, indent + 2, ("? depends on ", "cyan"), (plan.reason, ""))
    last: list[ReadSource] = []
    # Consecutive reused actions share one line; the source is shown once for consecutive actions with the same source.
    for reused, actions in groupby(plan.actions, lambda action: action.reused and not action.notes):
        if reused:
            listed = ", ".join(f"{action.kind} {_format_target(action)}" for action in actions)
            _print_line(console, indent + 2, ("= reused: ", "dim"), (listed, "dim"))
            continue
        for action in actions:
            _print_action(action, console, indent + 2)
            if action.reads and action.reads != last:
                _print_line(console, indent + 6, ("reads " + ", ".join(map(_format_source, action.reads)), "dim"))
                last = action.reads
    if plan.scenario is not None:
        _print_scenario(plan.scenario, console, indent + 2)
    elif plan.problem:
        words = "x fails" if plan.outcome else "x fails if it runs"
        words += ": " if plan.counts_as_failure else ", which is only a WARNING: "
        _print_line(console, indent + 2, (words, "bold red"), (plan.problem, "red"))


def _print_action(action: Action, console: Console, indent: int) -> None:
    sign, style = ACTION_SIGNS[action.because]
    _print_line(
        console,
        indent,
        (f"{sign} {action.kind} ", style),
        (_format_target(action), ""),
        (_format_reason(action), style or "dim"),
    )
    for change in action.changes[:SHOWN_CHANGES]:
        _print_line(console, indent + 4, (change.says, ""), (_format_position(change), "dim"))
    if len(action.changes) > SHOWN_CHANGES:
        _print_line(console, indent + 4, (f"and {len(action.changes) - SHOWN_CHANGES} more changes", "dim"))
    for note in action.notes:
        _print_line(console, indent + 4, (note, "dim"))


def _format_target(action: Action) -> str:
    return f"{action.target} {action.result}".rstrip()


def _format_reason(action: Action) -> str:
    """Return the reason as appended to the action: `: changed since version 1`."""
    words = {"always": "", "never": "no", "depends": "depends on" if action.kind == "send" else "depends:"}
    word = words.get(action.because, action.because)
    joint = ", " if action.because in ("new", "forced", "reused", "never") else " "
    text = joint.join(filter(None, [word, action.reason]))
    return f": {text}" if text else ""


def _format_position(change: Change) -> str:
    return f"  {change.position.file}:{change.position.line}:{change.position.column}" if change.position else ""


def _format_source(reads: ReadSource) -> str:
    rows = f"{reads.rows:,} rows of " if reads.rows is not None else ""
    where = join_some(reads.files, SHOWN_FILES) or reads.place
    return f"{rows}{reads.dataset}{f' ({where})' if where else ''}"


def _summarize_plan(plan: Plan) -> str:
    """Return the summary: `2 to read, 1 to train; 3 reused; 1 message may be sent`.

    The number of steps that will fail, and of those that would if they ran, comes first.
    """
    actions = plan.all_actions()
    todo = [action for action in actions if action.because in ("new", "changed", "forced") or _is_repeated_work(action)]
    counts = [f"{_count_kind(todo, kind)} {words}" for kind, words in _SUMMARY_WORDS.items() if _count_kind(todo, kind)]
    reused = sum(action.reused for action in actions)
    senders = [action for scenario in _walk_scenarios(plan.scenarios) for action in scenario.reporters]
    senders += [action for action in actions if action.kind == "send"]
    sends = sum(action.because in ("always", "depends") for action in senders)
    problems = [step.outcome is None for step in plan.all_steps() if step.problem and step.scenario is None]
    failures = [
        f"{format_count(count, 'step')} {verb} fail"
        for verb, count in (("will", problems.count(False)), ("may", problems.count(True)))
        if count
    ]
    parts = [*failures, ", ".join(counts) or "nothing to compute", f"{reused} reused"]
    return "; ".join([*parts, f"{format_count(sends, 'message')} may be sent"] if sends else parts)


_SUMMARY_WORDS = {
    "read": "to read",
    "train": "to train",
    "profile": "to profile",
    "evaluate": "to evaluate",
    "call": "to call",
    "write": "to write",
    "remove": "to clear",
}


def _is_repeated_work(action: Action) -> bool:
    """Return whether an action is done every time and takes work, unlike applying checks or setting variables."""
    return action.because == "always" and action.kind in ("read", "call", "write", "remove")


def _count_kind(actions: Sequence[Action], kind: str) -> int:
    return sum(action.kind == kind for action in actions)


def _walk_scenarios(plans: Iterable[ScenarioPlan]) -> Iterable[ScenarioPlan]:
    for plan in plans:
        yield plan
        yield from _walk_scenarios(step.scenario for step in plan.steps if step.scenario)
