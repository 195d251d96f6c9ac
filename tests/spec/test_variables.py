"""References: what is one, and what filling in does."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.spec.variables.references import escape_references, fill_references, find_references, format_value
from engine.spec.yaml.yaml_scalars import NumberError, resolve_scalar


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("${a}", ("a",)),
        ("${ a }", ("a",)),
        ("${secret.smtp_url}", ("secret", "smtp_url")),
        ("${checks['data drift < 0.45'].outcome}", ("checks", "data drift < 0.45", "outcome")),
        ("${metrics['psi.\"a}b\"']}", ("metrics", 'psi."a}b"')),
        ("${env.HOME:-it's {fine}", ("env", "HOME")),
        ("${}", ()),
        ("${a b}", ()),
        ("${a.}", ()),
        ("${a[0]}", ()),
        ("${1}", ()),
        ("${é}", ()),
    ],
)
def test_a_reference_has_the_parts_of_its_name(text: str, parts: tuple[str, ...]) -> None:
    found = find_references(text)
    assert [reference.parts for reference in found] == [parts]


def test_a_reference_to_the_environment_may_have_a_default() -> None:
    assert find_references("${env.A:-x y}")[0].default == "x y"
    assert find_references("${env.A:-}")[0].default == ""
    assert find_references("${env.A}")[0].default is None


PIECES = st.lists(st.sampled_from(["${a}", "${env.A:-x y}", "${d['}{'].z}", "$${a}", "$$ ", "$1", "{a}", "}", "é 𝄞\n"]))
"""Texts with references, with escaped ones, and with what looks like one."""


def test_references_are_filled_in_and_others_are_kept_or_refused() -> None:
    names = {"a": 1, "b": True, "c": None, "d": {"x y": {"z": 0.5}}}
    assert fill_references("${a} ${b} [${c}] ${d['x y'].z} $${a} $$ $ {a}", names) == "1 true [] 0.5 ${a} $$ $ {a}"
    assert (
        fill_references("${nothing} ${bad bad}", names, lambda reference: f"<{reference.text}>")
        == "<${nothing}> <${bad bad}>"
    )
    with pytest.raises(KeyError):
        fill_references("${d.y}", names)


def test_a_value_is_not_filled_in_again() -> None:
    assert fill_references("${a}", {"a": "${b}", "b": "no"}) == "${b}"


@given(PIECES)
def test_references_are_found_where_they_stand_in_a_text(pieces: list[str]) -> None:
    text = "".join(pieces)
    ends = list(accumulate(map(len, pieces)))
    expected = [(end - len(piece), piece) for end, piece in zip(ends, pieces, strict=True) if piece.startswith("${")]
    found = find_references(text)
    assert [(one.offset, one.text) for one in found] == expected
    assert [text[one.offset :][: one.length] for one in found] == [one.text for one in found]


@given(PIECES.map("".join) | st.text())
def test_what_is_escaped_is_filled_in_as_it_was(text: str) -> None:
    assert fill_references(escape_references(text), {}) == text


@given(
    st.lists(st.text(alphabet="ab ${}'[]", max_size=6).filter(lambda text: not text.endswith("$"))), st.text(max_size=5)
)
def test_values_stand_where_references_stood(texts: list[str], value: str) -> None:
    joined = "${x}".join(escape_references(text) for text in texts)
    assert fill_references(joined, {"x": value}) == value.join(texts)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("yes", "yes"), ("12:30", "12:30"), ("2017-10-01", "2017-10-01"), ("1e-3", 1e-3), ("1E3", 1e3),
        ("0x1f", 31), ("0o17", 15), ("0b1", "0b1"), ("1_000", "1_000"), (".5", 0.5), ("5.", 5.0), ("+1", 1), ("-0", 0),
        ("0", 0), ("0.5", 0.5), ("~", None), ("null", None), ("nULL", "nULL"), ("true", True), ("tRUE", "tRUE"),
        ("-.inf", float("-inf")), (".INF", float("inf")), (".", "."), ("-", "-"), ("1.2.3", "1.2.3"), ("٣", "٣"),
    ],
)  # fmt: skip
def test_the_core_types_of_yaml_1_2(text: str, value: object) -> None:
    assert resolve_scalar(text) == value
    assert type(resolve_scalar(text)) is type(value)


@pytest.mark.parametrize("text", ["01", "-007", "00.5", "00", str(2**63), "1e999", "9" * 5000, "0" * 5000])
def test_numbers_that_are_refused(text: str) -> None:
    with pytest.raises(NumberError):
        resolve_scalar(text)


@given(st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_read_as_they_are_written(number: float) -> None:
    assert resolve_scalar(format_value(number)) == number
