"""Hints for common mistakes in values of the wrong type."""

import re
from datetime import timedelta

from engine.formatting.hints import find_similar
from engine.formatting.lists import join_alternatives
from engine.spec.resources.resource import Resource
from engine.spec.validation.value_types import ValueType, list_keys, suggest_duration

_FOREIGN_WORDS = {
    "string": "text",
    "str": "text",
    "varchar": "text",
    "float": "number",
    "double": "number",
    "decimal": "number",
    "bigint": "integer",
    "timestamp": "datetime",
}
"""Words that other tools use, and those of this language that correspond to them."""

_TRUTH_VALUES = {"yes": "true", "on": "true", "no": "false", "off": "false"}
"""Texts that older versions of YAML read as true and false."""


def hint_for_text(type_: ValueType, text: str, name: str | int) -> str | None:
    """Return the replacement for a text that the type does not allow; None if it is unknown.

    `name` is the key of the text, or its index in a list.
    """
    shown, key = text[:60], f"{name}: " if isinstance(name, str) else ""
    if timedelta in type_.scalars and (duration := suggest_duration(text)):
        return f"write {duration}"
    if type_.literals:
        words = [str(word) for word in type_.literals]
        if text in words:
            return "write it without quotes"
        foreign = _FOREIGN_WORDS.get(text.lower())
        near = foreign if foreign in words else find_similar(text, words)
        return f'did you mean "{near}"?' if near else None
    if bool in type_.scalars and text.lower() in _TRUTH_VALUES:
        return f"write {_TRUTH_VALUES[text.lower()]}"
    if type_.items and not type_.scalars:
        return f"write it in brackets: [{shown}]"
    if type_.resources:
        kinds = _list_kinds(type_.resources)
        if text in kinds:
            return f"write {key}{{kind: {text}}}"
        if compared := re.fullmatch(r"(\S+) *([<>])=? *([-+]?[0-9.]+)", text):
            bound = "soft_max" if compared[2] == "<" else "soft_min"
            if {"metric", bound} <= list_keys(type_.resources[0]).keys():
                return f"write {key}{{metric: {compared[1]}, {bound}: {compared[3]}}}"
        if written := _find_key_of_text(type_.resources[0], text):
            return f"write {key}{{{written}: {shown}}}"
        return f"write {key}{{kind: …}}; the kinds are {join_alternatives(kinds)}" if len(kinds) > 1 else None
    if float in type_.scalars and re.fullmatch(r"[-+]?[0-9]+,[0-9]+", text):
        return f"write {text.replace(',', '.')}, with a point"
    if float in type_.scalars and re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)? ?%", text):
        return f"write {float(text.rstrip(' %')) / 100:g}, the share"
    return 'write "\\t"' if text.lower() == "tab" else None


def is_known_word(type_: ValueType, text: str) -> bool:
    """Return whether a text is a word that the type knows, as a value or a kind, or is spelt much like one."""
    return find_similar(text, [*map(str, type_.literals), *_list_kinds(type_.resources)]) is not None


def _list_kinds(resources: tuple[type[Resource], ...]) -> list[str]:
    return [one.model_fields["kind"].default for one in resources if "kind" in one.model_fields]


def _find_key_of_text(resource: type[Resource], text: str) -> str | None:
    """Return the only key of a resource that a text, written in place of the resource, was probably meant for."""
    keys = list_keys(resource)
    chosen = [key for key, field_ in keys.items() if text in field_.type.literals and key != "kind"]
    required = [key for key, field_ in keys.items() if field_.required]
    if not chosen and len(required) <= 1:
        chosen = [key for key in required or ["path"] if key in keys and str in keys[key].type.scalars]
    return chosen[0] if len(chosen) == 1 else None
