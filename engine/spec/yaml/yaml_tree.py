"""From YAML text to a tree in which every key, scalar and container knows its position in the file.

PyYAML's loader is not used: it reads `on` as true, `12:30` as 750 and dates as dates, keeps only the last of two equal
keys, and drops positions. The tree is built from libyaml's events instead of PyYAML's composed nodes, because the
composer is recursive, while depth, size and aliases must be limited during reading.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import yaml

from engine.errors import Position
from engine.spec.diagnostics import Findings
from engine.spec.yaml.source import Source
from engine.spec.yaml.yaml_scalars import NumberError, PlainValue, resolve_scalar

MAX_YAML_DEPTH = 64
MAX_NODES = 200_000

_YAML_TOO_DEEP = f"this is nested more than {MAX_YAML_DEPTH} levels deep"


@dataclass(slots=True, eq=False)
class ScalarNode:
    """A scalar: its value by the core schema, its text, and its quoting (`'`, `"`, `|`, `>`, or empty if plain)."""

    position: Position
    value: PlainValue
    text: str
    quote: str = ""
    _source: Source | None = None
    _start: int = 0
    _end: int = 0

    def position_of(self, offset: int, length: int) -> Position:
        """Return the position in the file of `text[offset:offset + length]`."""
        if self._source is None:
            return self.position
        places = self._character_offsets(offset + max(length, 1))
        first = places[min(offset, len(places) - 1)]
        last = places[min(offset + max(length, 1), len(places)) - 1]
        return self._source.position(first, last + 1)

    def _character_offsets(self, count: int) -> list[int]:
        """Return the offsets in the file of the first `count` characters of the text.

        The text of a scalar differs from what the file holds: quotes and indentation are missing from it, a line
        break may have become a blank, and an escape sequence one character. So both are read side by side: for
        each character of the text, skip what the file has in addition, note the offset, and move behind it.
        """
        assert self._source is not None  # noqa: S101  checked by the caller
        raw, at, end = self._source.text, self._start, self._end
        # The span that libyaml reports starts at the anchor, and at the quote or the header (such as `|-`).
        if anchor := re.compile(r"&\S+\s+").match(raw, at, end):
            at = anchor.end()
        block = self.quote in ("|", ">")
        indent = 0
        if block:
            at = raw.find("\n", at, end) + 1
            indent = _measure_indentation(raw[at:end])
        elif self.quote:
            at += 1
        places: list[int] = []
        for character in self.text[:count]:
            if raw[at - 1 : at] == "\n":  # at the start of a line: skip the indentation of a block, at most
                at += min(indent, len(raw[at : at + indent]) - len(raw[at : at + indent].lstrip(" ")))
            # A blank of the text may stand for a line break of the file. Any other blanks and line breaks that the text
            # does not have at this place are indentation, or were folded into a blank already passed.
            folded = character == " " and raw[at : at + 1] == "\n"
            while at < end and raw[at] != character and raw[at] in " \t\n" and not folded:
                at += 1
            places.append(min(at, end - 1))
            at += _measure_written_length(raw, at, self.quote)
        return places or [self._start]


def _measure_indentation(block: str) -> int:
    """Return the smallest number of blanks at the start of a line that is not empty."""
    return min((len(line) - len(line.lstrip(" ")) for line in block.split("\n") if line.strip()), default=0)


def _measure_written_length(raw: str, at: int, quote: str) -> int:
    """Return how many characters of the file, from `at` on, encode one character of the text."""
    if quote == "'" and raw.startswith("''", at):
        return 2
    if quote == '"' and raw.startswith("\\", at):
        return {"x": 4, "u": 6, "U": 10}.get(raw[at + 1 : at + 2], 2)  # \x41 \u0041 \U00000041 \n
    return 1


@dataclass(slots=True, eq=False)
class ListNode:
    position: Position
    items: "list[YamlNode]" = field(default_factory=list)


@dataclass(slots=True)
class MapEntry:
    """A key of a mapping, and its value."""

    key: ScalarNode
    value: "YamlNode"


@dataclass(slots=True, eq=False)
class MapNode:
    position: Position
    entries: dict[str, MapEntry] = field(default_factory=dict)

    def get(self, key: str) -> "YamlNode | None":
        entry = self.entries.get(key)
        return entry.value if entry else None


YamlNode = ScalarNode | ListNode | MapNode


def parse_yaml(source: Source, findings: Findings) -> YamlNode | None:
    """Parse a file with one YAML document. Return None if it is empty or invalid; a finding then gives the reason."""
    builder = _TreeBuilder(source, findings)
    processed = 0
    try:
        for event in yaml.parse(source.text, Loader=yaml.CSafeLoader):
            processed += 1
            if not builder.process_event(event):
                return None
    except yaml.YAMLError as problem:
        if "nesting depth" in str(problem):
            _report_depth(problem, processed, source, builder)
        else:
            from engine.spec.yaml.yaml_errors import explain_yaml_error

            explain_yaml_error(problem, source.text, source.position, findings)
        return None
    if builder.root is None:
        findings.error(Position(source.file), "yaml-empty", "this file is empty", "start with: version: 1")
    return builder.root


def _report_depth(problem: yaml.YAMLError, processed: int, source: Source, builder: "_TreeBuilder") -> None:
    """Report a file that libyaml itself refuses for its depth, at the place where it exceeds `MAX_YAML_DEPTH`.

    libyaml (from 0.2.6 on) refuses 1,000 levels while it scans ahead, before it has given their events. So the text
    before the refused place is parsed again, and the builder gets the events after the first `processed`, which it has
    had already. It then reports the depth as for any other file.
    """
    mark = getattr(problem, "problem_mark", None)
    before = source.text[: mark.index] if mark else source.text
    with suppress(yaml.YAMLError):
        for event in islice(yaml.parse(before, Loader=yaml.CSafeLoader), processed, None):
            if not builder.process_event(event):
                return


@dataclass(slots=True)
class _OpenContainer:
    """A list or mapping whose end has not been read yet.

    `size` counts its nodes, with those of aliases written out. `key` is the key of a mapping whose value comes next.
    """

    node: ListNode | MapNode
    anchor: str | None
    size: int = 1
    key: ScalarNode | None = None


class _TreeBuilder:
    """Builds the tree from events, without recursion.

    `_open` is the stack of containers around the current event; a finished node is attached to the innermost of them.
    `_anchors` maps an anchor to its node and size, or to None while the node is still being read: an alias in it would
    make the tree infinite. An alias attaches the same node again. The sizes keep a few lines of nested aliases (a
    "billion laughs" file) from standing for more than MAX_NODES nodes. Methods return False where reading must stop.
    """

    def __init__(self, source: Source, findings: Findings) -> None:
        self.root: YamlNode | None = None
        self._source = source
        self._findings = findings
        self._open: list[_OpenContainer] = []
        self._anchors: dict[str, tuple[YamlNode, int] | None] = {}
        self._documents = 0

    def process_event(self, event: yaml.Event) -> bool:
        """Process the next event. Return False if the rest of the file must not be read."""
        start, end = _event_span(event)
        at = self._source.position(start, end)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._findings.error(
                    at,
                    "yaml-document",
                    "a second YAML document starts here",
                    "a file can contain only one document; to split a spec into files, use include",
                )
                return False
        elif isinstance(event, yaml.AliasEvent):
            return self._process_alias(str(event.anchor), at)
        elif isinstance(event, yaml.ScalarEvent):
            self._check_tag(event, at)
            node = self._build_scalar(event, at)
            if event.anchor:
                self._anchors[event.anchor] = (node, 1)
            return self._attach_node(node, 1, at)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._check_tag(event, at)
            if len(self._open) >= MAX_YAML_DEPTH:
                self._findings.error(at, "yaml-depth", _YAML_TOO_DEEP)
                return False
            if self._open and isinstance(self._open[-1].node, MapNode) and self._open[-1].key is None:
                doubled = self._source.text[start - 1 : start + 1] == "{{"
                help_ = (
                    'there is no {{ }}: declare the value under variables:, and write "${name}"' if doubled else None
                )
                self._findings.error(at, "yaml-key", "a key must be text, but this is a list or a mapping", help_)
                return False
            first = self._source.position(start)
            container = MapNode(first) if isinstance(event, yaml.MappingStartEvent) else ListNode(first)
            if event.anchor:
                self._anchors[event.anchor] = None  # until its end: see the class
            self._open.append(_OpenContainer(container, event.anchor))
        elif isinstance(event, yaml.CollectionEndEvent):
            closed = self._open.pop()
            if closed.anchor:
                self._anchors[closed.anchor] = (closed.node, closed.size)
            return self._attach_node(closed.node, closed.size, at)
        return True

    def _process_alias(self, anchor: str, at: Position) -> bool:
        if anchor not in self._anchors:
            help_ = f"write &{anchor} before the value to repeat, or put a text that starts with * in quotes"
            self._findings.error(at, "yaml-alias", f"alias *{anchor} has no anchor &{anchor} above it", help_)
            return False
        target = self._anchors[anchor]
        if target is None:
            self._findings.error(
                at, "yaml-alias", f"alias *{anchor} refers to a value that contains it", "write this value out"
            )
            return False
        if self._open and isinstance(self._open[-1].node, MapNode) and self._open[-1].key is None:
            self._findings.error(at, "yaml-key", "a key must be text, but this is an alias", "write the key out")
            return False
        return self._attach_node(*target, at)

    def _check_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, at: Position) -> None:
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            help_ = "remove it; to make a number text, put it in quotes"
            self._findings.error(at, "yaml-tag", f"the tag {tag[:60]} is not allowed", help_)

    def _build_scalar(self, event: yaml.ScalarEvent, at: Position) -> ScalarNode:
        start, end = _event_span(event)
        quote = event.style if event.style in ("'", '"', "|", ">") else ""
        value: PlainValue = event.value
        is_key = self._open and isinstance(self._open[-1].node, MapNode) and self._open[-1].key is None
        if not quote and not is_key:
            try:
                value = resolve_scalar(event.value)
            except NumberError as problem:
                help_ = "put a text in quotes; write a number without leading zeros and within 64 bits"
                self._findings.error(at, "yaml-number", str(problem), help_)
                value = problem.nearest
        return ScalarNode(at, value, event.value, quote, self._source, start, end)

    def _attach_node(self, node: YamlNode, size: int, at: Position) -> bool:
        if not self._open:
            self.root = node
            return True
        parent = self._open[-1]
        parent.size += size
        if parent.size > MAX_NODES:
            message = f"with its aliases written out, this file has more than {MAX_NODES:,} values"
            self._findings.error(at, "yaml-alias", message, "use fewer aliases, or shorten what they repeat")
            return False
        if isinstance(parent.node, ListNode):
            parent.node.items.append(node)
        elif parent.key is None:  # in a mapping, nodes come as key, value, key, value
            if not isinstance(node, ScalarNode) or (node.text == "" and not node.quote):
                self._findings.error(at, "yaml-key", "a key is missing before the colon")
                return False
            parent.key = node
        else:
            self._add_entry(parent.node, MapEntry(parent.key, node))
            parent.key = None
        return True

    def _add_entry(self, into: MapNode, entry: MapEntry) -> None:
        key = entry.key
        if key.text == "<<" and not key.quote:
            help_ = "write the keys out; an alias can only repeat a whole value"
            self._findings.error(key.position, "yaml-key", "merge keys (<<) are not YAML 1.2", help_)
            return
        first = into.entries.setdefault(key.text, entry)
        if first is not entry:
            self._findings.error(
                key.position,
                "duplicate-key",
                f'key "{key.text}" is already defined in line {first.key.position.line}',
                "remove or rename one of the two",
                also=first.key.position,
            )


def _event_span(event: yaml.Event) -> tuple[int, int]:
    assert event.start_mark  # noqa: S101  libyaml gives every event its marks
    assert event.end_mark  # noqa: S101
    return event.start_mark.index, event.end_mark.index


def plain_value(node: YamlNode) -> Any:
    """Return a tree as mappings, lists and values, with the texts as they are written."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, ListNode):
        return [plain_value(item) for item in node.items]
    return {name: plain_value(entry.value) for name, entry in node.entries.items()}


def walk_scalars(node: YamlNode, key: str = "") -> Iterator[tuple[str, ScalarNode]]:
    """Yield each scalar with the key that it is the value of, or an entry in the value of; keys have an empty one."""
    if isinstance(node, ScalarNode):
        yield key, node
    elif isinstance(node, ListNode):
        for item in node.items:
            yield from walk_scalars(item, key)
    else:
        for name, entry in node.entries.items():
            yield "", entry.key
            yield from walk_scalars(entry.value, name)


def walk_values(
    path: tuple[str | int, ...], node: YamlNode | None
) -> Iterator[tuple[tuple[str | int, ...], ScalarNode]]:
    """Yield each scalar in a node with its path, which starts with the given one."""
    if isinstance(node, ScalarNode):
        yield path, node
    elif isinstance(node, MapNode):
        for key, entry in node.entries.items():
            yield from walk_values((*path, key), entry.value)
    elif isinstance(node, ListNode):
        for place, item in enumerate(node.items):
            yield from walk_values((*path, place), item)


def position_at(root: MapNode, path: Iterable[str | int]) -> Position:
    """Return the position of what a path of keys and list indices leads to.

    It is the position of the key, or of the list item. If the path does not exist, the last existing part counts.
    """
    node: YamlNode | None = root
    position = root.position
    for part in path:
        if isinstance(node, MapNode) and part in node.entries:
            position = node.entries[str(part)].key.position
        node = node_at(node, (part,)) if node else None
        if isinstance(part, int) and node:
            position = node.position
        if node is None:
            break
    return position


def node_at(root: YamlNode, path: Iterable[str | int]) -> YamlNode | None:
    """Return the node at a path of keys and list indices, or None if it does not exist."""
    node: YamlNode | None = root
    for part in path:
        if isinstance(node, MapNode) and isinstance(part, str):
            node = node.get(part)
        elif isinstance(node, ListNode) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
        else:
            return None
    return node
