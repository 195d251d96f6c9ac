"""Charts: scales, ticks, and that texts in them are only text; thresholds and logs against naive twins."""

import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluation.detail import Histogram
from engine.evaluation.record import Evaluation, Fingerprints
from engine.models import PerformanceDetail
from engine.models.metrics.performance_detail import ConfusionMatrix, RocCurve
from engine.outcome import CheckOutcome
from engine.spec import load
from engine.store import utc_now
from engine.views.charts.bars import draw_bars
from engine.views.charts.flow import arrange_layers
from engine.views.charts.histograms import draw_histogram, name_bins, share_bins
from engine.views.charts.strip import draw_strip
from engine.views.charts.svg import Drawing, Scale
from engine.views.flow import describe_flow
from engine.views.log_view import read_log_after, read_log_tail
from engine.views.thresholds import describe_thresholds

HOSTILE = "<img src=x onerror=alert(1)>\"'&"
numbers = st.floats(-1e9, 1e9, allow_nan=False)


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


@given(numbers, numbers, st.integers(1, 12))
def test_ticks_are_few_round_and_between_the_ends(low: float, high: float, most: int) -> None:
    scale = Scale(low, high, 0.0, 100.0)
    ticks = scale.list_ticks(most)
    if low == high:
        assert ticks == [low]
        return
    span = abs(high - low)
    assert len(ticks) <= most + 1
    assert all(min(low, high) - span * 1e-6 <= tick <= max(low, high) + span * 1e-6 for tick in ticks)


@given(numbers, numbers, st.floats(allow_nan=False))
def test_every_value_has_a_place_between_the_ends(low: float, high: float, value: float) -> None:
    assert 10.0 <= Scale(low, high, 10.0, 90.0).place(value) <= 90.0


def test_texts_and_names_in_charts_are_only_text() -> None:
    histogram = Histogram(labels=(HOSTILE, "b"), reference=(3, 4), batch=(5, 6), missing=(1, 0))
    drawn = [
        draw_histogram(histogram, str).render(),
        draw_bars([(HOSTILE, 0.5)], str, lambda _: HOSTILE).render(),
        draw_strip([(HOSTILE, CheckOutcome.ERROR)]).render(),
    ]
    found = Tags("".join(drawn))
    assert found.tags <= {"svg", "rect", "path", "line", "text", "title"}
    assert not {name for name in found.attributes if name.startswith("on") or name == "style"}
    assert HOSTILE in found.text
    drawing = Drawing(1, 1)
    drawing.add("rect", fill=HOSTILE)
    assert Tags(drawing.render()).attributes == {
        "viewbox",
        "width",
        "height",
        "aria-hidden",
        "fill",
    }


def test_the_shares_of_a_histogram_are_those_of_its_rows() -> None:
    histogram = Histogram(edges=(1.0, 2.0), reference=(1, 2, 1), batch=(0, 3, 0), missing=(0, 1))
    assert name_bins(histogram, str) == ["≤ 1", "1 to 2", "> 2", "missing"]
    assert share_bins(histogram) == [(0.25, 0.0), (0.5, 0.75), (0.25, 0.0), (0.0, 0.25)]


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_thresholds_count_what_scores_and_labels_count(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, 50, 80) / 50
    labels = random.uniform(0, 1, 80) < 0.1 + 0.8 * scores
    if labels.all() or not labels.any():
        return
    cuts = sorted(set(scores), reverse=True)
    counts = [((scores >= cut) & labels).sum() for cut in cuts], [((scores >= cut) & ~labels).sum() for cut in cuts]
    roc = RocCurve(
        (0.0, *(float(one / (~labels).sum()) for one in counts[1])),
        (0.0, *(float(one / labels.sum()) for one in counts[0])),
        (None, *map(float, cuts)),
    )
    at_half = scores >= 0.5
    matrix = ConfusionMatrix(
        ("0", "1"),
        tuple(tuple(int((at_half[labels == true] == said).sum()) for said in (False, True)) for true in (False, True)),
    )
    view = describe_thresholds(make_evaluation(PerformanceDetail(confusion_matrix=matrix, roc=roc)))
    assert view is not None
    assert [(row.true_positive, row.false_positive) for row in view.rows] == list(zip(*counts, strict=True))
    for row, cut in zip(view.rows, cuts, strict=True):
        said = scores >= cut
        assert row.precision == pytest.approx(labels[said].mean())
        assert row.accuracy == pytest.approx((said == labels).mean())
        assert row.lift == pytest.approx(labels[said].mean() / labels.mean())
    assert view.in_use.true_positive + view.in_use.false_positive == at_half.sum()
    assert sum(view.density.batch) == labels.sum()
    assert sum(view.density.reference) == (~labels).sum()
    tenths = np.minimum((scores[labels] * 10 + 1e-9).astype(int), 9)
    assert list(view.density.batch) == list(np.bincount(tenths, minlength=10))


def test_thresholds_need_a_binary_classifier_whose_positive_class_is_known() -> None:
    assert describe_thresholds(make_evaluation(PerformanceDetail())) is None


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=60), max_size=40), st.integers(50, 400))
@settings(max_examples=60)
def test_a_log_read_from_its_end_or_from_a_byte_has_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    entries = [json.dumps({"text": text}).encode() + b"\n" for text in texts]
    (folder / "log.jsonl").write_bytes(b"".join(entries) + b'{"text": "not yet who')
    size = max(size, 2 * max(map(len, entries), default=0))
    starts, end = [], None
    while end != 0:
        part = read_log_tail(folder, end, size)
        starts = [line.start for line in part.lines] + starts
        if part.start == end:
            break
        end = part.start
    expected = [sum(map(len, entries[:place])) for place in range(len(entries))]
    assert starts == expected
    after, start = [], 0
    while (part := read_log_after(folder, start, size)).lines:
        after += [line.start for line in part.lines]
        start = part.end
    assert after == expected


def test_a_log_that_is_missing_has_no_lines(tmp_path: Path) -> None:
    assert read_log_tail(tmp_path).lines == ()
    assert read_log_after(tmp_path, 5).end == 5


def test_the_flow_has_each_thing_after_all_that_it_is_made_of(tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "version: 1\nproject: flow\ndatasets:\n  joined: {kind: query, sql: SELECT * FROM a JOIN b ON a.x = b.x}\n"
        "  a: {path: a.csv}\n  b: {path: b.csv}\n"
        "models: {m: {algorithm: ridge, task: regression, dataset: joined, target: y}}\n"
        "evaluation_stores: {s: {model: m, dataset: joined, reference: {kind: dataset, dataset: a}}}\n"
    )
    layers = arrange_layers(describe_flow(load(spec)))
    assert [sorted(node.name for node in layer) for layer in layers] == [["a", "b"], ["joined"], ["m"], ["s"]]
    (store,) = layers[-1]
    assert set(store.needs) == {("datasets", "joined"), ("models", "m"), ("datasets", "a")}


def make_evaluation(performance: PerformanceDetail) -> Evaluation:
    return Evaluation(
        id="1", store="s", name="n", labels={}, created=utc_now(), fingerprints=Fingerprints("", "", "", ""),
        engine_version="", kernel_version="", rows_read=80, rows_used=80, reference_rows=80, metrics={},
        performance=performance, facts={"spec": {"model": {"positive": 1}}},
    )  # fmt: skip
