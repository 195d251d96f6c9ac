"""The bounds of a check: a range for a value or its change, or a set of values. Also their conversion to JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.spec.resources.checks import RangeBound, build_bounds
from engine.spec.resources.resource import Scalar


@dataclass(frozen=True, slots=True)
class AppliedRange:
    """A range with which a value was compared.

    Attributes
    ----------
    limits
        Its bounds, in ascending order; in seconds if `in_seconds`.
    compare
        The baseline of the change, as named in the spec; None if the range is for the value itself.
    change
        Whether the change is absolute or relative; None without `compare`.
    """

    limits: tuple[RangeBound, ...]
    in_seconds: bool = False
    compare: str | None = None
    change: Literal["absolute", "relative"] | None = None

    @property
    def lower(self) -> RangeBound | None:
        """The bound that a falling value crosses first."""
        return next((limit for limit in reversed(self.limits) if limit.is_lower), None)

    @property
    def upper(self) -> RangeBound | None:
        """The bound that a rising value crosses first."""
        return next((limit for limit in self.limits if not limit.is_lower), None)

    def find_limit(self, key: str) -> RangeBound:
        """Return the bound with a key of the spec, which must exist."""
        return next(limit for limit in self.limits if limit.key == key)

    def compute_excess(self, value: float) -> float:
        """Return the largest distance of a value beyond a bound; negative if it breaks none."""
        sides = (limit.value - value if limit.is_lower else value - limit.value for limit in self.limits)
        return max(sides, default=0.0)


@dataclass(frozen=True, slots=True)
class AllowedValues:
    """The allowed values; those not in `soft_allowed` are a WARNING."""

    allowed: tuple[Scalar, ...]
    soft_allowed: tuple[Scalar, ...] | None = None


CheckBounds = AppliedRange | AllowedValues


def bounds_to_json(bounds: CheckBounds | None) -> dict[str, Any]:
    """Return the bounds of a check by the keys of the spec, with `unit` for a range in seconds; empty for None."""
    if bounds is None:
        return {}
    if isinstance(bounds, AllowedValues):
        soft = {} if bounds.soft_allowed is None else {"soft_allowed": list(bounds.soft_allowed)}
        return {"allowed": list(bounds.allowed), **soft}
    return {
        **{limit.key: limit.value for limit in bounds.limits},
        **({"unit": "seconds"} if bounds.in_seconds else {}),
        **({} if bounds.compare is None else {"compare": bounds.compare, "change": bounds.change}),
    }


def bounds_from_json(stored: Mapping[str, Any]) -> CheckBounds | None:
    """Return the bounds written by `bounds_to_json`."""
    if "allowed" in stored:
        soft = stored.get("soft_allowed")
        return AllowedValues(tuple(stored["allowed"]), None if soft is None else tuple(soft))
    limits = build_bounds(stored)
    if not limits and "compare" not in stored:
        return None
    return AppliedRange(limits, stored.get("unit") == "seconds", stored.get("compare"), stored.get("change"))
