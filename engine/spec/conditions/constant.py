"""Conditions that are always true or always false, whatever the outcomes are.

`outcome != 'WARNING' || outcome != 'FAILED'` reads like a choice and always sends. A part of a condition that rests on
at most three outcomes is tried with every one of their values: 125 tries at most.
"""

from collections.abc import Iterator, Mapping
from itertools import product

from engine.spec.conditions.scope import FAMILIES, STEP_PREFIX
from engine.spec.conditions.syntax import CONNECTIVES, EQUALITIES, Node
from engine.spec.problem import Problem


def constant_parts(node: Node) -> Iterator[Problem]:
    """Yield the widest parts that rest on outcomes alone and hold for every outcome, or for none."""
    atoms = _atoms(node)
    if atoms is not None and len(atoms) <= 3:
        families = [FAMILIES["check outcome" if _is_check(atom) else "outcome"] for atom in atoms]
        ends = {_truth(node, dict(zip(atoms, values, strict=True))) for values in product(*families)}
        if len(ends) == 1:
            message = f"this is {'true' if True in ends else 'false'} whatever the outcome is"
            size = node.end - node.start
            yield Problem(node.start, size, "condition-constant", message, "&& asks for both, || for either")
            return
    if node.value in CONNECTIVES:
        for child in node.children:
            yield from constant_parts(child)


def _is_check(atom: Node) -> bool:
    return any(part.value == "checks" for part in atom.walk() if part.kind == "name")


def _atoms(node: Node) -> set[Node] | None:
    """Return the outcomes that decide an expression, None where anything else does too."""
    if node.kind == "call" and node.value in CONNECTIVES:
        parts = [_atoms(child) for child in node.children]
        return None if None in parts else set().union(*(part for part in parts if part is not None))
    if node.kind == "call" and node.value in (*EQUALITIES, "in"):
        left, right = node.children
        sides = [side for side in (left, right) if side.kind not in ("constant", "list")]
        if all(s.kind == "select" or s.value == "outcome" or str(s.value).startswith(STEP_PREFIX) for s in sides):
            return set(sides)
    return None


def _truth(node: Node, outcomes: Mapping[Node, str]) -> bool:
    def value(side: Node) -> object:
        return outcomes.get(side, side.value)

    first, rest = node.children[0], node.children[1:]
    match node.value:
        case "!":
            return not _truth(first, outcomes)
        case "&&":
            return _truth(first, outcomes) and _truth(rest[0], outcomes)
        case "||":
            return _truth(first, outcomes) or _truth(rest[0], outcomes)
        case "in":
            return value(first) in [item.value for item in rest[0].children]
        case _:
            return (value(first) == value(rest[0])) == (node.value == "==")
