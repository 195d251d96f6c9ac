"""Merging sorted lists of strings, against sets of Python strings."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.drift.kernels.text_merge import merge_texts

words = st.sets(st.text(alphabet=["a", "b", "\x00", "é", "\U0001f600", "\ud7ff", "z"], max_size=4), max_size=12)


def packed(strings):
    ordered = sorted(strings)  # code points order as their UTF-8 bytes do
    pieces = [s.encode() for s in ordered]
    text = np.frombuffer(b"".join(pieces), np.uint8)
    return ordered, text.copy(), np.cumsum([len(p) for p in pieces], dtype=np.int64)


@given(words, words)
def test_every_string_finds_its_place_in_the_union(a, b):
    of_a, a_text, a_ends = packed(a)
    of_b, b_text, b_ends = packed(b)
    to_a, to_b, size = merge_texts(a_text, a_ends, b_text, b_ends)
    union = sorted(a | b)
    assert size == len(union)
    assert to_a.tolist() == [union.index(s) for s in of_a]
    assert to_b.tolist() == [union.index(s) for s in of_b]


def test_many_strings_are_merged_as_sets_are():
    a, b = ({f"customer {i}" for i in range(0, 40_000, step)} for step in (2, 3))
    of_a, a_text, a_ends = packed(a)
    of_b, b_text, b_ends = packed(b)
    to_a, to_b, size = merge_texts(a_text, a_ends, b_text, b_ends)
    union = np.array(sorted(a | b))
    assert size == len(union)
    assert union[to_a].tolist() == of_a
    assert union[to_b].tolist() == of_b


@given(st.lists(st.integers(-5, 50), max_size=8), st.lists(st.integers(-5, 50), max_size=8))
def test_ends_outside_of_the_text_read_nothing_there(a_ends, b_ends):
    text = np.frombuffer(b"abcabd", np.uint8).copy()
    a, b = (np.array(ends, np.int64) for ends in (a_ends, b_ends))
    to_a, to_b, size = merge_texts(text, a, text, b)
    assert max(len(a), len(b)) <= size <= len(a) + len(b)
    assert set(to_a) | set(to_b) == set(range(size))
