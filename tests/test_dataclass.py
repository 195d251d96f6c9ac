"""A dataclass of the engine behaves as one of the standard library, and compiles only what is called."""

import copy
import dataclasses
import inspect
import operator
from collections.abc import Callable
from dataclasses import asdict, field, fields, replace
from itertools import product
from typing import Any

import pydantic
import pytest

from engine.dataclass import dataclass

OPTIONS = [
    dict(zip(("frozen", "slots", "eq", "repr", "kw_only", "order"), values, strict=True))
    for values in product((False, True), repeat=6)
    if values[2] or not values[5]  # an order needs eq
]


def define_point(define: Any, options: dict[str, bool], *, with_check: bool = True) -> Any:
    class Point:
        """A point."""

        x: int
        y: float = 2.0
        tags: list[str] = field(default_factory=list, compare=False)
        hidden: str = field(default="", repr=False)

        if with_check:

            def __post_init__(self) -> None:
                if self.x < 0:
                    raise ValueError(f"x is {self.x}")

    return define(**options)(Point)


def try_all(point: Any) -> list[Any]:
    """Return what a class gives for everything that one can do with its instances."""

    def attempt(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - the other class must give the same
            return type(error), str(error)

    def set_x(one: Any) -> int:
        one.x = 5
        return int(one.x)

    def remove_x(one: Any) -> bool:
        del one.x
        return hasattr(one, "x")

    one, same, other = point(x=1), point(x=1, tags=["a"]), point(x=3, y=1.5, hidden="h")
    found: list[Any] = [
        attempt(lambda: point(-1)),
        attempt(lambda: point(x=-1)),
        attempt(point),
        attempt(lambda: point(1, 2.5, [], "h").y),
        attempt(lambda: point(x=1, z=2)),
        [attempt(lambda sign=sign, two=two: sign(one, two)) for sign in COMPARISONS for two in (same, other, 7)],
        [repr(each).partition(" object at ")[0] for each in (one, other)],
        [attempt(lambda each=each: hash(each)) == attempt(lambda: hash(one)) for each in (one, same, other)],
        attempt(lambda: hash(one)) if point.__hash__ is None else None,
        asdict(other),
        attempt(lambda: replace(other, x=9).hidden),
        attempt(lambda: replace(other, x=-9)),
        asdict(copy.copy(other)),
        asdict(copy.deepcopy(other)),
        [(each.name, each.type, each.kw_only, each.default) for each in fields(point)],
        point.__match_args__,
        hasattr(one, "__dict__"),
        attempt(lambda: set_x(one)),
        attempt(lambda: remove_x(one)),
        one.tags is not same.tags,
    ]
    return found


COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: "+".join(name for name in options if options[name]))
def test_it_behaves_as_that_of_the_standard_library(options: dict[str, bool]) -> None:
    ours, theirs = (define_point(define, options) for define in (dataclass, dataclasses.dataclass))
    first = try_all(ours)
    assert first == try_all(theirs)
    assert try_all(ours) == first  # by the compiled methods


def test_nothing_is_compiled_before_it_is_called_and_then_once() -> None:
    point = define_point(dataclass, {"frozen": True, "slots": True})
    deferred = {name: vars(point)[name] for name in ("__init__", "__repr__", "__eq__", "__hash__")}
    one = point(1)
    assert {name for name in deferred if vars(point)[name] is not deferred[name]} == {"__init__"}
    compiled = point.__init__
    assert point(2) != one
    assert point.__init__ is compiled
    assert {name for name in deferred if vars(point)[name] is not deferred[name]} == {"__init__", "__eq__"}


def test_methods_of_the_class_itself_are_kept() -> None:
    @dataclass(frozen=True, slots=True)
    class Name:  # noqa: PLW1641 - the decorator adds a hash
        parts: tuple[str, ...]

        def __init__(self, *parts: str) -> None:
            object.__setattr__(self, "parts", parts)

        def __repr__(self) -> str:
            return ".".join(self.parts)

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Name) and self.parts[-1] == other.parts[-1]

    assert repr(Name("a", "b")) == "a.b"
    assert Name("a", "b") == Name("c", "b")
    assert hash(Name("a", "b")) == hash(Name("a", "b"))


def test_a_class_inherits_fields_and_methods() -> None:
    @dataclass(frozen=True)
    class Base:
        a: int
        b: int = 2

        def total(self) -> int:
            return self.a + self.b

    @dataclass(frozen=True)
    class Derived(Base):
        c: int = 3

        def total(self) -> int:
            return super().total() + self.c

    class Plain(Base):
        pass

    assert Derived(1).total() == 6
    assert Derived(1) != Base(1)
    assert (Plain(4).total(), Plain(4) == Plain(4), Plain(4) == Base(4)) == (6, True, False)
    with pytest.raises(dataclasses.FrozenInstanceError, match="cannot assign to field 'b'"):
        Derived(1).b = 5  # type: ignore[misc]


def test_pydantic_and_patterns_read_it() -> None:
    point = define_point(dataclass, {"frozen": True, "slots": True})
    read = pydantic.TypeAdapter(point).validate_python({"x": "4", "tags": ["a"]})
    match read:
        case point(x, y):
            assert (x, y) == (4, 2.0)
    assert (read.tags, read == point(4)) == (["a"], True)
    with pytest.raises(pydantic.ValidationError):
        pydantic.TypeAdapter(point).validate_python({"x": "four"})
    assert inspect.isclass(point)
