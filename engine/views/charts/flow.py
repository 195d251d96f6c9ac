"""The flow of a project as a diagram: which resources depend on which, from left to right."""

from collections.abc import Mapping, Sequence

from engine.spec.secrets.redaction import Redact
from engine.views.charts.svg import PAGE_COLOURS, Drawing, clip_label
from engine.views.flow import FlowNode, Key

BOX_WIDTH, BOX_HEIGHT = 168.0, 42.0
ACROSS, DOWN = 210.0, 56.0
"""Horizontal and vertical distance between the boxes."""

STRIPES = {
    "datasets": "reference",
    "models": "batch",
    "evaluation_stores": "batch",
    "scenarios": "ink",
    "channels": "muted",
    "bundles": "ink",
    "deployments": "ink",
}
"""Colour of a box's stripe by section: data is grey, measurements have the colour of a batch, actions are dark."""
LABEL = 20


def draw_flow(nodes: Sequence[FlowNode], addresses: Mapping[Key, str], redact: Redact) -> Drawing:
    """Draw resources as linked boxes in layers: each is to the right of everything it needs."""
    layers = arrange_layers(nodes)
    places = {
        node.key: (column * ACROSS + 4, row * DOWN + 4)
        for column, layer in enumerate(layers)
        for row, node in enumerate(layer)
    }
    height = max((len(layer) for layer in layers), default=0) * DOWN
    drawing = Drawing(max(len(layers) - 1, 0) * ACROSS + BOX_WIDTH + 8, height, PAGE_COLOURS)
    for node in nodes:
        for need in node.needs:
            _draw_arrow(drawing, places[need], places[node.key])
    for node in nodes:
        x, y = places[node.key]
        drawing.add_link(addresses.get(node.key, ""), _draw_box(node, x, y, redact))
    return drawing


def arrange_layers(nodes: Sequence[FlowNode]) -> list[list[FlowNode]]:
    """Return nodes in layers by the longest path to them; within a layer, each is near to what it needs."""
    layers: list[list[FlowNode]] = []
    placed: set[Key] = set()
    waiting = list(nodes)
    while waiting:
        ready = [node for node in waiting if placed.issuperset(node.needs)] or waiting  # in a cycle: all remaining ones
        layers.append(ready)
        placed |= {node.key for node in ready}
        waiting = [node for node in waiting if node.key not in placed]
    rows: dict[Key, float] = {}
    for layer in layers:
        layer.sort(key=lambda node: _find_middle([rows[one] for one in node.needs if one in rows]))
        rows |= {node.key: float(row) for row, node in enumerate(layer)}
    return layers


def _find_middle(rows: Sequence[float]) -> float:
    return sum(rows) / len(rows) if rows else 0.0


def _draw_arrow(drawing: Drawing, start: tuple[float, float], end: tuple[float, float]) -> None:
    x, y = start[0] + BOX_WIDTH, start[1] + BOX_HEIGHT / 2
    to_x, to_y = end[0] - 1, end[1] + BOX_HEIGHT / 2
    bend = max((to_x - x) / 2, 30.0)
    curve = f"M{x:g},{y:g}C{x + bend:g},{y:g} {to_x - bend:g},{to_y:g} {to_x - 5:g},{to_y:g}"
    drawing.add("path", d=curve, fill="none", stroke="reference", stroke_width=1.5)
    drawing.add("path", d=f"M{to_x - 7:g},{to_y - 4:g}L{to_x:g},{to_y:g}L{to_x - 7:g},{to_y + 4:g}Z", fill="reference")


def _draw_box(node: FlowNode, x: float, y: float, redact: Redact) -> Drawing:
    box = Drawing(x + BOX_WIDTH, y + BOX_HEIGHT, PAGE_COLOURS)
    name = redact(node.name)
    about = f"{node.word}, {node.kind}" if node.kind else node.word
    size = {"x": x, "y": y, "height": BOX_HEIGHT, "rx": 5}
    box.add("rect", **size, width=BOX_WIDTH, fill="surface", stroke="line", title=f"{name} ({about})")
    box.add("rect", **size, width=5, fill=STRIPES[node.section])
    box.add_text(x + 14, y + 18, clip_label(name, LABEL), fill="ink", size=13)
    box.add_text(x + 14, y + 34, clip_label(about, LABEL + 5))
    return box
