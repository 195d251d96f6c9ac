"""Charts as Vega-Lite, drawn by vl-convert: SVG for the page, PNG for mails.

They are drawn when the page is written, so that the page does not need 0.9 MB of JavaScript and is also complete in
programs that do not run any. The SVG refers to the colour variables of the page, and so follows light and dark mode.
The specs are plain data: Altair, which builds them from objects, takes half a second to import and would save nothing
here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from engine.drift import NOTABLE_DRIFT
from engine.formatting.numbers import format_figure
from engine.formatting.palette import AMBER, GREEN, GREY, RED
from engine.spec.redaction import Redact
from engine.views.evaluation_view import EvaluationView, HistoryView
from engine.views.importance import ImportanceView
from engine.views.metric_text import format_metric, format_metric_name
from engine.views.ranges import choose_scale, cut_zones

ChartSpec = dict[str, Any]

VEGA_LITE = "6.1"
COLOUR_NAMES = ("ink", "muted", "line", "surface", "batch", "reference", "ok", "warning", "error")
PAGE_COLOURS = {name: f"var(--{name})" for name in COLOUR_NAMES}
PRINT_COLOURS = dict(
    zip(
        COLOUR_NAMES,
        ("#1c2733", GREY, "#e3e7ec", "#ffffff", "#2563eb", "#94a3b8", GREEN, AMBER, RED),
        strict=True,
    )
)
LABEL_LENGTH = 28
"""Characters of a name in a chart."""
LABELLED_POINTS = 6
MOST_POINTS = 200
MOST_BARS = 8


def render_svg(spec: ChartSpec) -> Markup:
    """Draw a chart for the page as SVG, which scales with the page."""
    import vl_convert  # 30 MB that a run without charts need not load

    drawn = vl_convert.vegalite_to_svg(
        {**spec, "config": _chart_config(PAGE_COLOURS)}, vl_version=VEGA_LITE, allowed_base_urls=[]
    )
    # vl-convert escapes the texts in it.
    return Markup(drawn.replace("<svg ", '<svg aria-hidden="true" ', 1))  # noqa: S704


def render_png(spec: ChartSpec) -> bytes:
    """Draw a chart as PNG on white, with two pixels per unit."""
    import vl_convert

    return vl_convert.vegalite_to_png(
        {**spec, "config": _chart_config(PRINT_COLOURS), "background": PRINT_COLOURS["surface"], "padding": 16},
        vl_version=VEGA_LITE,
        scale=2,
        allowed_base_urls=[],
    )


def _chart_config(colours: Mapping[str, str]) -> ChartSpec:
    quiet = {"labelColor": colours["muted"], "titleColor": colours["muted"], "titleFontWeight": "normal"}
    return {
        "aria": False,
        "background": None,
        "font": "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif",
        "view": {"stroke": None},
        "axis": {
            **quiet,
            "gridColor": colours["line"],
            "domain": False,
            "ticks": False,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "labelPadding": 6,
        },
        "text": {"fill": colours["ink"], "fontSize": 11},
        "title": {"color": colours["ink"], "fontSize": 13, "anchor": "start", "subtitleColor": colours["muted"]},
        "concat": {"spacing": 28},
    }


def draw_history(
    history: HistoryView,
    evaluation: str,
    redact: Redact,
    colours: Mapping[str, str] = PAGE_COLOURS,
    size: tuple[int, int] = (290, 110),
) -> ChartSpec:
    """Draw a metric over evaluations, with the one of the id `evaluation` marked and the zones of its check shaded.

    Evaluations that have times are at their place in time, a window at its start.
    """
    metric, points = history.metric, history.points
    start, end = choose_scale(
        metric, history.value_range, [value for point in points for value in (point.value, point.low, point.high)]
    )
    seen: dict[str, int] = {}
    rows = []
    for point in points:
        name = clip_label(redact(point.name))
        seen[name] = seen.get(name, -1) + 1
        now = point.evaluation == evaluation
        rows.append(
            {
                "name": name + "\N{ZERO WIDTH SPACE}" * seen[name],  # keeps two evaluations of one name apart
                "at": _find_wall_time(point.time) if point.time else None,
                "value": point.value,
                "now": format_metric(metric, point.value) if now else None,
                "low": point.low,
                "high": point.high,
            }
        )
    across: ChartSpec = {"field": "name", "type": "ordinal", "sort": None, "title": None}
    if rows and all(row["at"] for row in rows):
        across = {"field": "at", "type": "temporal", "title": None, "scale": {"type": "utc"}}
    x = across | {"axis": {"labelAngle": 0, "labelOverlap": True, "labelLimit": 90}}
    y = {"field": "value", "type": "quantitative", "title": None, "scale": {"domain": [start, end], "nice": False}}
    y["axis"] = {"tickCount": 4, "format": ",.6~r"}
    here = {"transform": [{"filter": "datum.now != null"}]}
    return {
        "width": size[0],
        "height": size[1],
        "data": {"values": rows},
        "layer": [
            {
                "data": {"values": [{"kind": colours[z.kind], "from": z.start, "to": z.end} for z in shaded]},
                "mark": {"type": "rect", "opacity": 0.13},
                "encoding": {
                    "y": {**y, "field": "from"},
                    "y2": {"field": "to"},
                    "color": {"field": "kind", "type": "nominal", "scale": None},
                },
            }
            for shaded in [[z for z in cut_zones(history.value_range, start, end) if z.kind != "ok"]]
            if shaded
        ]
        + [
            {
                "mark": {"type": "line", "color": colours["batch"], "strokeWidth": 2},
                "encoding": {"x": x, "y": y},
            },
            {
                "mark": {"type": "circle", "size": 34, "color": colours["batch"], "opacity": 1},
                "encoding": {"x": x, "y": y},
            },
            {
                "transform": [{"filter": "datum.low != null && datum.high != null"}],
                "mark": {"type": "rule", "color": colours["batch"], "strokeWidth": 5, "opacity": 0.35},
                "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
            },
            {
                **here,
                "mark": {
                    "type": "point", "size": 90, "filled": True, "fill": colours["surface"],
                    "stroke": colours["batch"], "strokeWidth": 2.5, "opacity": 1,
                },
                "encoding": {"x": x, "y": y},
            },
            {
                **here,
                "mark": {"type": "text", "dy": -13, "fontWeight": "bold", "fill": colours["ink"]},
                "encoding": {"x": x, "y": y, "text": {"field": "now", "type": "nominal"}},
            },
        ],
    }  # fmt: skip


def _find_wall_time(text: str) -> str:
    """Return the declared time, or the start of the window, as ISO text that Vega reads as it is written."""
    start = datetime.fromisoformat(text.partition(" to ")[0])
    return start.replace(tzinfo=UTC).isoformat()


def draw_importance(importance: ImportanceView, redact: Redact) -> ChartSpec:
    """Draw the columns' importance in the drift model against their importance in the monitored model.

    Each adds up to 1. Columns above the average of both are in the shaded quarter: drifted and important.
    """
    most_important = sorted(importance.columns, key=lambda row: -(row.drift + (row.model or 0.0)))[:MOST_POINTS]
    limit = importance.average
    rows: list[ChartSpec] = [
        {
            "name": clip_label(redact(row.name)),
            "drift": row.drift,
            "model": row.model or 0.0,
            "label": "",
            "colour": PAGE_COLOURS["batch" if row.is_drifted else "reference"],
        }
        for row in most_important
    ]
    for row in [row for row in rows if max(row["drift"], row["model"]) >= limit][:LABELLED_POINTS]:
        row["label"] = row["name"]
    top = min(1.06, 1.12 * max([limit, *(row["drift"] for row in rows)]))
    right = min(1.06, 1.3 * max([limit, *(row["model"] for row in rows)]))
    axis = {"format": ".0%", "tickCount": 5}
    x = {"field": "model", "type": "quantitative", "title": "importance in the model", "axis": axis}
    x["scale"] = {"domain": [0, right], "nice": False}
    y = {"field": "drift", "type": "quantitative", "title": "importance for telling batch from reference", "axis": axis}
    y["scale"] = {"domain": [0, top], "nice": False}
    quarter = [{"model": limit, "right": right, "drift": limit, "top": top, "label": "drifted and important"}]
    return {
        "width": 400,
        "height": 280,
        "layer": [
            {
                "data": {"values": quarter},
                "mark": {"type": "rect", "color": PAGE_COLOURS["error"], "opacity": 0.09},
                "encoding": {"x": x, "x2": {"field": "right"}, "y": y, "y2": {"field": "top"}},
            },
            {
                "data": {"values": quarter},
                "mark": {"type": "text", "align": "right", "dx": -8, "dy": -8, "fill": PAGE_COLOURS["error"]},
                "encoding": {
                    "x": {"field": "right", "type": "quantitative"},
                    "y": {"field": "drift", "type": "quantitative"},
                    "text": {"field": "label"},
                },
            },
            {
                "data": {"values": rows},
                "mark": {"type": "circle", "size": 90, "opacity": 0.9},
                "encoding": {"x": x, "y": y, "color": {"field": "colour", "type": "nominal", "scale": None}},
            },
            {
                "data": {"values": rows},
                "mark": {"type": "text", "dy": -11, "limit": 170},
                "encoding": {"x": x, "y": y, "text": {"field": "label", "type": "nominal"}},
            },
        ],
    }


def draw_bars(
    rows: Sequence[tuple[str, float]],
    redact: Redact,
    text: Callable[[float], str],
    colours: Mapping[str, str] = PAGE_COLOURS,
    width: int = 300,
) -> ChartSpec:
    """Draw named values as bars in their order; values of NOTABLE_DRIFT or more have another colour."""
    values = [
        {"at": i, "name": clip_label(redact(name)), "value": value, "text": text(value),
         "colour": colours["batch"] if value >= NOTABLE_DRIFT else colours["reference"]}
        for i, (name, value) in enumerate(rows)
    ]  # fmt: skip
    y: ChartSpec = {"field": "name", "type": "nominal", "sort": {"field": "at"}, "title": None}
    y["axis"] = {"labelColor": colours["ink"], "labelLimit": 170, "grid": False}
    x: ChartSpec = {"field": "value", "type": "quantitative", "title": None, "axis": None}
    x["scale"] = {"domain": [0, 1.18 * max([0.2, *(value for _, value in rows)])], "nice": False}
    return {
        "width": width,
        "height": {"step": 24},
        "data": {"values": values},
        "layer": [
            {
                "mark": {"type": "bar", "height": 14, "cornerRadiusEnd": 2},
                "encoding": {"y": y, "x": x, "color": {"field": "colour", "type": "nominal", "scale": None}},
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 5},
                "encoding": {"y": y, "x": x, "text": {"field": "text"}},
            },
        ],
    }


def draw_curve(
    across: tuple[str, Sequence[float]],
    up: tuple[str, Sequence[float]],
    *,
    diagonal: bool,
    sizes: Sequence[int] | None = None,
) -> ChartSpec:
    """Draw a curve in the unit square from the name and the values of each axis, and the sizes of its points."""
    axis = {"format": "~g", "tickCount": 5}
    whole = {"domain": [0, 1], "nice": False}
    x = {"field": "x", "type": "quantitative", "title": across[0], "scale": whole, "axis": axis}
    y = {"field": "y", "type": "quantitative", "title": up[0], "scale": whole, "axis": axis}
    rows = [
        {"at": at, "x": a, "y": b, "n": n}
        for at, (a, b, n) in enumerate(zip(across[1], up[1], sizes or [0] * len(up[1]), strict=True))
    ]
    encoding: ChartSpec = {"x": x, "y": y, "order": {"field": "at"}}
    layers: list[ChartSpec] = [
        {"data": {"values": rows}, "mark": {"type": "line", "color": PAGE_COLOURS["batch"]}, "encoding": encoding}
    ]
    if sizes:
        bubbles = {"field": "n", "type": "quantitative", "legend": None, "scale": {"range": [20, 220]}}
        layers.append(
            {
                "data": {"values": rows},
                "mark": {"type": "circle", "color": PAGE_COLOURS["batch"], "opacity": 0.9},
                "encoding": {"x": x, "y": y, "size": bubbles},
            }
        )
    if diagonal:
        layers.insert(
            0,
            {
                "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
                "mark": {"type": "line", "color": PAGE_COLOURS["reference"], "strokeDash": [4, 4]},
                "encoding": {"x": x, "y": y},
            },
        )
    return {"width": 240, "height": 240, "layer": layers}


def draw_heatmap(edges: Sequence[float], counts: Sequence[Sequence[int]]) -> ChartSpec:
    """Draw the counts of predicted against true values, in bins of the quantiles of both."""
    names = [f"≤ {format_figure(edge)}" for edge in edges[1:]] or [format_figure(edges[0])]
    rows = [
        {"i": i, "j": j, "true": names[i], "predicted": names[j], "rows": rows}
        for i, row in enumerate(counts)
        for j, rows in enumerate(row)
        if rows
    ]
    axis = {"labelOverlap": True, "labelAngle": 0, "domain": False}
    x: ChartSpec = {"field": "predicted", "type": "ordinal", "sort": {"field": "j"}, "title": "predicted", "axis": axis}
    y: ChartSpec = {"field": "true", "type": "ordinal", "sort": {"field": "i", "order": "descending"}, "title": "true"}
    shade = {"field": "rows", "type": "quantitative", "legend": None, "scale": {"type": "sqrt", "range": [0.06, 1]}}
    return {
        "width": 300,
        "height": 300,
        "data": {"values": rows},
        "mark": {"type": "rect", "color": PAGE_COLOURS["batch"]},
        "encoding": {
            "x": {**x, "scale": {"domain": names}},
            "y": {**y, "axis": axis, "scale": {"domain": names[::-1]}},
            "opacity": shade,
        },
    }


def draw_overview(view: EvaluationView, redact: Redact) -> bytes:
    """Draw the evaluation as one PNG: the first displayed metric over time, and the drift of the columns."""
    evaluation = view.evaluation
    columns = [(column.name, column.drift or 0.0) for column in view.columns[:MOST_BARS]]
    size = (300, 24 * max(4, len(columns)))
    parts = [
        draw_history(history, evaluation.id, redact, PRINT_COLOURS, size)
        | {"title": redact(format_metric_name(history.metric))}
        for history in view.histories[:1]
    ]
    if columns:
        parts.append(draw_bars(columns, redact, format_figure, PRINT_COLOURS, 230) | {"title": "Drift of the columns"})
    title = {
        "text": clip_label(redact(evaluation.name)) + (f": {view.outcome}" if view.outcome else ""),
        "subtitle": f"{redact(view.project)}, {redact(evaluation.store)}: {format_figure(evaluation.rows_used)} rows",
        "fontSize": 16,
        "subtitleFontSize": 12,
        "offset": 16,
    }
    return render_png({"title": title, "hconcat": parts or [{"mark": "text", "data": {"values": [{}]}}]})


def clip_label(text: str) -> str:
    """Return a name, cut to the length that a chart has room for."""
    return text if len(text) <= LABEL_LENGTH else f"{text[: LABEL_LENGTH - 1]}…"


def describe_overview(view: EvaluationView) -> str:
    """Return the overview as text, for readers who do not see it."""
    drifted = [f"{column.name} {format_figure(column.drift)}" for column in view.list_drifted()[:3]]
    data_drift = format_figure(view.evaluation.find_value("data_drift"))
    return f"Drift: {', '.join(drifted) or 'no column drifted'}. Data drift {data_drift}."
