"""Search for texts in the values of a table."""

from collections.abc import Iterator, Sequence

import polars as pl

from engine.data.table import Table, explain_read_errors


def find_column_with(table: Table, texts: Sequence[str]) -> str | None:
    """Return the first column of a table with a value that contains one of the texts; None if there is none.

    Texts inside lists and structures, and bytes, are searched too. Numbers and times contain no texts.
    """
    with explain_read_errors(table):
        schema = table.frame.collect_schema()
        tests = {
            name: found for name, dtype in schema.items() if (found := list(_test_values(pl.col(name), dtype, texts)))
        }
        if not tests or not texts:
            return None
        asked = [pl.any_horizontal(found).any().alias(name) for name, found in tests.items()]
        answers = table.frame.select(asked).collect(engine="streaming").row(0, named=True)
    return next((name for name, found in answers.items() if found), None)


def _test_values(values: pl.Expr, dtype: pl.DataType, texts: Sequence[str]) -> Iterator[pl.Expr]:
    """Yield expressions that are true if a value contains one of the texts."""
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        yield values.cast(pl.String).str.contains_any(list(texts))
    elif dtype == pl.Binary:
        yield from (values.bin.contains(text.encode("utf-8", "surrogatepass")) for text in texts)
    elif isinstance(dtype, pl.Array):
        yield from _test_values(values.arr.to_list(), pl.List(dtype.inner), texts)
    elif isinstance(dtype, pl.List):
        for inside in _test_values(pl.element(), _instantiate(dtype.inner), texts):
            yield values.list.eval(inside).list.any()
    elif isinstance(dtype, pl.Struct):
        for one in dtype.fields:
            yield from _test_values(values.struct.field(one.name), _instantiate(one.dtype), texts)


def _instantiate(dtype: object) -> pl.DataType:
    found: pl.DataType = dtype if isinstance(dtype, pl.DataType) else dtype()  # type: ignore[operator]  # a type
    return found
