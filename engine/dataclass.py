"""Dataclasses whose methods are compiled when they are first called.

The standard library writes and compiles five or six methods of each dataclass while its module is imported. That is
most of the time of a definition, and all definitions together were a tenth of a short command, which calls few of these
methods. Here the standard library defines the fields and the slots, and compiles a method at its first call. `fields`,
`replace`, `asdict`, patterns and type checkers see an ordinary dataclass.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

_NONE = {"init": False, "repr": False, "eq": False}
_COMPARED = {**_NONE, "eq": True}
_OPTIONS: Mapping[str, Mapping[str, bool]] = {
    "__init__": {**_NONE, "init": True},
    "__repr__": {**_NONE, "repr": True},
    "__eq__": _COMPARED,
    "__hash__": {**_COMPARED, "unsafe_hash": True},
    **{name: {**_COMPARED, "order": True} for name in ("__lt__", "__le__", "__gt__", "__ge__")},
}
"""By method, the options with which the standard library compiles it and no more than it needs."""

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(*, frozen=False, slots=False, kw_only=False, repr=True, eq=True, order=False):  # noqa: A002
        """Make a class a dataclass, as that of the standard library does with the same options."""

        def define(cls):
            own = set(vars(cls))
            if "__eq__" in own and vars(cls)["__hash__"] is None:
                own.discard("__hash__")  # Python has set it, because the class has an __eq__
            defined = dataclasses.dataclass(cls, **_NONE, slots=slots, kw_only=kw_only)
            wanted = {"__init__": True, "__repr__": repr, "__eq__": eq, "__hash__": eq and frozen}
            wanted |= dict.fromkeys(("__lt__", "__le__", "__gt__", "__ge__"), order)
            for name in wanted:
                if wanted[name] and name not in own:
                    setattr(defined, name, _defer(defined, name, frozen))
            if frozen:
                defined.__setattr__, defined.__delattr__ = _refuse_to_set, _refuse_to_delete
                defined.__getstate__, defined.__setstate__ = _get_state, _set_state
            elif eq and "__hash__" not in own:
                defined.__hash__ = None
            return defined

        return define


def _defer(cls: type, name: str, frozen: bool) -> Callable[..., Any]:
    """Return a method that compiles the true one at its first call, puts it in its own place, and calls it."""

    def call_first(self: Any, /, *arguments: Any, **keywords: Any) -> Any:
        method = _compile(cls, name, frozen)
        setattr(cls, name, method)
        return method(self, *arguments, **keywords)

    return call_first


def _compile(cls: Any, name: str, frozen: bool) -> Callable[..., Any]:
    """Let the standard library compile a method, in a class with the same fields and nothing else."""
    fields = dataclasses.fields(cls)
    content: dict[str, Any] = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    content |= {field.name: field for field in fields}
    content["__annotations__"] = {field.name: field.type for field in fields}
    if hasattr(cls, "__post_init__"):
        content["__post_init__"] = cls.__post_init__
    options = {**_OPTIONS[name], "frozen": frozen and name == "__init__"}  # which then sets fields of a frozen instance
    method: Callable[..., Any] = vars(dataclasses.dataclass(**options)(type(cls.__name__, (), content)))[name]
    return method


def _refuse_to_set(_self: Any, name: str, _value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(_self: Any, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _get_state(self: Any) -> list[Any]:
    """Return the values of the fields: of a frozen instance, a copy cannot be made by setting them."""
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
