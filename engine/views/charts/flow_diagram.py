"""The flow of a project as boxes in layers, with curves from what is used to what is made of it."""

from collections.abc import Callable, Sequence

from engine.spec.redaction import Redact
from engine.views.charts.svg import Drawing, clip_label
from engine.views.flow import FlowKey, FlowNode

WIDTH, HEIGHT, GAP, SPACE = 176, 44, 18, 44
_STROKES = {"dataset": "batch", "model": "warning", "evaluation_store": "ok"}


def draw_flow(nodes: Sequence[FlowNode], find_link: Callable[[FlowNode], str], redact: Redact) -> Drawing:
    """Draw nodes; `find_link` returns the address that a box leads to."""
    layers: dict[int, list[FlowNode]] = {}
    for node in nodes:
        layers.setdefault(node.layer, []).append(node)
    places: dict[FlowKey, tuple[float, float]] = {}
    for layer, members in sorted(layers.items()):
        # Each stands beside the middle of what it is made of, so that curves seldom cross.
        ordered = sorted(members, key=lambda node: _find_middle(node, places))
        for row, node in enumerate(ordered):
            places[node.kind, node.name] = (layer * (WIDTH + SPACE), row * (HEIGHT + GAP))
    most = max((len(members) for members in layers.values()), default=1)
    drawing = Drawing(max(1, len(layers)) * (WIDTH + SPACE) - SPACE + 2, most * (HEIGHT + GAP) - GAP + 2)
    for node in nodes:
        x, y = places[node.kind, node.name]
        for key in node.inputs:
            start, top = places[key][0] + WIDTH, places[key][1] + HEIGHT / 2
            middle, end = (start + x) / 2, y + HEIGHT / 2
            curve = f"M{start:.0f},{top:.0f}C{middle:.0f},{top:.0f} {middle:.0f},{end:.0f} {x:.0f},{end:.0f}"
            drawing.add("path", d=curve, fill="none", stroke="reference", stroke_width=1.5)
    for node in nodes:
        box = Drawing(WIDTH, HEIGHT)
        box.add("rect", x=1, y=1, width=WIDTH - 1, height=HEIGHT - 1, rx=6, fill="surface", stroke=_STROKES[node.kind])
        box.add_text(10, 19, clip_label(redact(node.name), 25), fill="ink", font_weight="bold")
        box.add_text(10, 34, node.detail, size=10.5)
        drawing.add_link(*places[node.kind, node.name], box, find_link(node), f"{node.detail} {redact(node.name)}")
    return drawing


def _find_middle(node: FlowNode, places: dict[FlowKey, tuple[float, float]]) -> float:
    above = [places[key][1] for key in node.inputs if key in places]
    return sum(above) / len(above) if above else 0.0
