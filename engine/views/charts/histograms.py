"""The distribution of a column: bars for the batch, a line for the reference."""

from itertools import pairwise

from engine.evaluation.detail import Histogram
from engine.formatting.numbers import format_figure, format_share
from engine.spec.secrets.redaction import Redact
from engine.views.charts.svg import CHARACTER, Drawing, Scale, clip_label, draw_labels, draw_value_axis

SMALL_BINS = 24


def name_bins(histogram: Histogram, redact: Redact) -> list[str]:
    """Return a label for each bin: `≤ 12`, `12 to 15`, a category; then `other` and `missing` if present."""
    if histogram.edges is None:
        names = [redact(label) for label in histogram.labels or ()]
    else:
        edges = [format_figure(edge) for edge in histogram.edges]
        between = [f"{low} to {high}" for low, high in pairwise(edges)]
        names = [f"≤ {edges[0]}", *between, f"> {edges[-1]}"] if edges else ["all values"]
    return [*names, *(name for name, _ in _list_extra(histogram))]


def share_bins(histogram: Histogram) -> list[tuple[float, float]]:
    """Return the shares of reference and batch in each bin; `other` and `missing` come last."""
    extra = [rows for _, rows in _list_extra(histogram)]
    sides = [
        [*counts, *(rows[side] for rows in extra)] for side, counts in enumerate((histogram.reference, histogram.batch))
    ]
    totals = [sum(side) or 1 for side in sides]
    return [(a / totals[0], b / totals[1]) for a, b in zip(*sides, strict=True)]


def draw_histogram(histogram: Histogram, redact: Redact, *, small: bool = False) -> Drawing:
    """Draw the shares of both sides per bin, without axes if small; `other` and `missing` have another colour."""
    names, shares = name_bins(histogram, redact), share_bins(histogram)
    aside = len(names) - len(_list_extra(histogram))
    if small:
        names, shares = names[:SMALL_BINS], shares[:SMALL_BINS]
    width, height = (190.0, 40.0) if small else (420.0, 150.0)
    drawing = Drawing(width, height if small else height + 18)
    up = Scale(0.0, max([0.0001, *(share for pair in shares for share in pair)]), height, 2 if small else 8)
    left = 0.0 if small else 10 + max(len(format_share(tick)) for tick in up.list_ticks(3)) * 11 * CHARACTER
    if not small:
        draw_value_axis(drawing, up, left, width, format_share, 3)
    step = (width - left) / max(1, len(shares))
    bars, line = {"batch": "", "reference": ""}, ""
    for index, (reference, batch) in enumerate(shares):
        x = left + index * step
        bars["batch" if index < aside else "reference"] += (
            f"M{x + step * 0.12:.1f},{height:g}V{up.place(batch):.1f}h{step * 0.76:.1f}V{height:g}"
        )
        line += f"M{x + 1:.1f},{up.place(reference):.1f}h{step - 2:.1f}"
    for fill, path in bars.items():
        if path:
            drawing.add("path", d=path, fill=fill, opacity=0.75)
    drawing.add("line", x1=left, x2=width, y1=height, y2=height, stroke="line")
    drawing.add("path", d=line or "M0,0", fill="none", stroke="ink", stroke_width=1.5)
    if not small:
        _label_bins(drawing, histogram, names, height + 14, left)
    return drawing


def _label_bins(drawing: Drawing, histogram: Histogram, names: list[str], y: float, left: float) -> None:
    """Write the edges between bars of numbers, and the names under other bars."""
    edges, step = histogram.edges or (), (drawing.width - left) / max(1, len(names))
    labels = [(left + (index + 1) * step, format_figure(edge)) for index, edge in enumerate(edges)]
    numbered = len(edges) + 1 if histogram.edges is not None else 0
    named = [(index, name) for index, name in enumerate(names) if index >= numbered]
    labels += [(left + (index + 0.5) * step, clip_label(name, 14)) for index, name in named]
    draw_labels(drawing, labels, y, (left, drawing.width), size=10)


def _list_extra(histogram: Histogram) -> list[tuple[str, tuple[int, int]]]:
    beside = {"other": histogram.other, "missing": histogram.missing}
    return [(name, rows) for name, rows in beside.items() if rows is not None and any(rows)]
