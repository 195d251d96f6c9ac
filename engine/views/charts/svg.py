"""Marks, scales and axes: the parts of all charts."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from engine.formatting.numbers import format_figure
from engine.formatting.palette import AMBER, GREEN, GREY, RED

Colours = Mapping[str, str]

COLOUR_NAMES = ("ink", "muted", "line", "surface", "batch", "reference", "ok", "warning", "error")
PAGE_COLOURS: Colours = {name: f"var(--{name})" for name in COLOUR_NAMES}
PRINT_COLOURS: Colours = dict(
    zip(
        COLOUR_NAMES,
        ("#1c2733", GREY, "#e3e7ec", "#ffffff", "#2563eb", "#94a3b8", GREEN, AMBER, RED),
        strict=True,
    )
)
FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, DejaVu Sans, sans-serif"
CHARACTER = 0.56
"""Average width of a character, relative to the font size."""
SMALLEST_SPAN = 1e-300
"""Minimum distance of a scale's ends: between closer ends, no float is a round value."""
LABEL_LENGTH = 28
"""Maximum number of characters of a name in a chart."""


def clip_label(text: str, length: int = LABEL_LENGTH) -> str:
    """Return a name cut to the maximum length in a chart."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear map from values in `low` to `high` to places in `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return the place of a value; values beyond the ends, such as infinite ones, are placed at the end."""
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + (self.end - self.start) * min(1.0, max(0.0, share))

    def list_ticks(self, most: int = 5) -> list[float]:
        """Return at most `most` round values between the ends: multiples of 1, 2 or 5 times a power of 10."""
        span = abs(self.high - self.low)
        if span < SMALLEST_SPAN or not math.isfinite(span):
            return [self.low]
        exponent = math.floor(math.log10(span / most))
        power = 10.0**exponent
        step = next(power * factor for factor in (1, 2, 5, 10, 20) if span / (power * factor) <= most)
        first = math.ceil(min(self.low, self.high) / step - 1e-9)
        last = math.floor(max(self.low, self.high) / step + 1e-9)
        return [round(index * step, 12 - min(exponent, 0)) for index in range(first, last + 1)]


class Drawing:
    """Marks in a rectangle. The origin is at the top left; lengths are in pixels of a page at 100 %."""

    def __init__(self, width: float, height: float, colours: Colours = PAGE_COLOURS) -> None:
        self.width, self.height, self.colours = width, height, colours
        self._marks: list[str] = []

    def add(self, mark: str, *, title: object = "", **attributes: object) -> None:
        """Add an SVG element. `fill` and `stroke` may be names of colours; `title` is its tooltip."""
        inside = f"<title>{escape(title)}</title>" if title else ""
        self._marks.append(f"<{mark}{self._write(attributes)}>{inside}</{mark}>")

    def add_text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        anchor: str = "start",
        fill: str = "muted",
        size: float = 11,
        **more: object,
    ) -> None:
        """Add a text whose base line starts, is centred or ends at a place, depending on `anchor`."""
        attributes = {"x": x, "y": y, "text_anchor": anchor, "fill": fill, "font_size": size, **more}
        self._marks.append(f"<text{self._write(attributes)}>{escape(text)}</text>")

    def add_path(self, points: Iterable[tuple[float, float]], **attributes: object) -> None:
        """Add a line through points."""
        steps = "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
        if steps:
            self.add("path", d=f"M{steps}", fill="none", **attributes)

    def add_drawing(self, x: float, y: float, drawing: "Drawing") -> None:
        """Add another drawing to this one."""
        self._marks.append(f'<g transform="translate({x:g},{y:g})">{"".join(drawing._marks)}</g>')

    def add_link(self, address: str, drawing: "Drawing") -> None:
        """Add another drawing to this one, as a link if it has an address.

        The link is for pointers only: keyboards reach the same links in the text next to the drawing.
        """
        marks = "".join(drawing._marks)
        self._marks.append(f'<a href="{escape(address)}" tabindex="-1">{marks}</a>' if address else marks)

    def render(self) -> Markup:
        """Return the drawing as SVG, which scales with the page and is hidden from screen readers.

        In a page it has the page's font; as a separate picture it needs its own font.
        """
        alone = "" if self.colours is PAGE_COLOURS else f' xmlns="http://www.w3.org/2000/svg" font-family="{FONT}"'
        return Markup(  # noqa: S704  (texts and attributes were escaped when they were added)
            f'<svg{alone} viewBox="0 0 {self.width:g} {self.height:g}" '
            f'width="{self.width:g}" height="{self.height:g}" aria-hidden="true">{"".join(self._marks)}</svg>'
        )

    def _write(self, attributes: Mapping[str, object]) -> str:
        return "".join(
            f' {name.rstrip("_").replace("_", "-")}="{escape(self._write_value(value))}"'
            for name, value in attributes.items()
            if value is not None
        )

    def _write_value(self, value: object) -> str:
        if isinstance(value, float):
            return f"{value:.2f}".rstrip("0").rstrip(".")
        return self.colours.get(value, value) if isinstance(value, str) else str(value)


def draw_value_axis(
    drawing: Drawing,
    scale: Scale,
    left: float,
    right: float,
    form: Callable[[float], str] = format_figure,
    most: int = 5,
) -> None:
    """Draw horizontal lines at round values, with the values to the left."""
    for tick in scale.list_ticks(most):
        y = scale.place(tick)
        drawing.add("line", x1=left, x2=right, y1=y, y2=y, stroke="line")
        drawing.add_text(left - 6, y + 4, form(tick), anchor="end")


def draw_labels(
    drawing: Drawing, labels: Sequence[tuple[float, str]], y: float, bounds: tuple[float, float], size: float = 11
) -> None:
    """Draw labels below places; one that would touch an earlier label is left out, but never the last one."""
    taken: list[tuple[float, float]] = []
    # The last label is the most important; then from the left, as far as there is room.
    for x, label in [*labels[-1:], *labels[:-1]]:
        half = len(label) * size * CHARACTER / 2
        middle = min(max(x, bounds[0] + half), bounds[1] - half)
        if all(middle + half + 8 <= start or middle - half - 8 >= end for start, end in taken):
            taken.append((middle - half, middle + half))
            drawing.add_text(middle, y, label, anchor="middle", size=size)
