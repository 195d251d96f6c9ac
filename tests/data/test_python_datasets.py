"""Users' functions: datasets made by them, and what is said when they fail."""

import os
import re
import subprocess
import sys

import polars as pl
import pytest

from engine.data import InMemoryFileHashes, WatchedFiles, load_function, verify_contract
from engine.errors import DataError
from engine.spec.code_folder import CodeFolder


@pytest.fixture
def module(tmp_path):
    def write(text, name="made"):
        (tmp_path / f"{name}.py").write_text(text)
        return tmp_path

    return write


def test_a_function_makes_a_dataset_from_its_arguments(project, module):
    module("import polars as pl\ndef rows(n, label):\n    return pl.DataFrame({'a': range(n), 'b': [label] * n})\n")
    datasets = project({"t": {"kind": "python", "function": "made:rows", "arguments": {"n": 2, "label": "x"}}})
    assert datasets.open("t").frame.collect().rows() == [(0, "x"), (1, "x")]


def test_what_a_lazy_frame_reads_may_change_after_it_was_hashed(project, module, tmp_path):
    """Its fingerprint is that of its rows at one moment, so its numbers must be of the same rows."""
    (tmp_path / "t.csv").write_text("a\n1\n")
    module(
        "import polars as pl\nfrom pathlib import Path\n"
        "def rows():\n    return pl.scan_csv(Path(__file__).with_name('t.csv')).with_columns(b=pl.col('a') * 2)\n"
    )
    table = project({"t": {"kind": "python", "function": "made:rows"}}).open("t")
    assert table.rereadable
    (tmp_path / "t.csv").write_text("a\n7\n")
    assert table.frame.collect().rows() == [(1, 2)]


def test_the_copy_of_a_lazy_frame_keeps_every_type(project, module):
    module(
        "import polars as pl\nfrom datetime import timedelta\n"
        "FRAME = pl.DataFrame({'c': pl.Series(['x', 'y'], dtype=pl.Categorical), 'd': [timedelta(1), None], "
        "'e': pl.Series(['p', 'q'], dtype=pl.Enum(['q', 'p'])), 'i': pl.Series([1, 2], dtype=pl.Int128), "
        "'n': [None, None], 'l': [[1], []], 'u': pl.Series([1, 2], dtype=pl.UInt8)})\n"
        "def lazy():\n    return FRAME.lazy()\ndef eager():\n    return FRAME\n"
    )
    opened = project({kind: {"kind": "python", "function": f"made:{kind}"} for kind in ("lazy", "eager")})
    lazy, eager = opened.open("lazy"), opened.open("eager")
    assert lazy.frame.collect_schema() == eager.frame.collect_schema()
    assert lazy.fingerprint == eager.fingerprint


CALLS = """
import polars as pl
from pathlib import Path

def rows(label="x"):
    with Path(__file__).with_name("calls").open("a") as log:
        log.write(label)
    return pl.DataFrame({"a": [label]})
"""


def test_a_function_is_called_once_for_the_same_arguments(project, module, tmp_path):
    module(CALLS)
    a = {"kind": "python", "function": "made:rows"}
    datasets = project({"a": a, "b": a, "c": {**a, "arguments": {"label": "y"}}})
    for name in "abcabc":
        datasets.open(name)
    assert (tmp_path / "calls").read_text() == "xy"


def test_an_edited_module_is_called_again(project, module, tmp_path):
    module(CALLS)
    datasets = project({"a": {"kind": "python", "function": "made:rows"}})
    before = datasets.open("a")
    module(CALLS.replace('label="x"', 'label="longer"'))
    later = datasets.with_files(WatchedFiles(InMemoryFileHashes()))
    assert later.open("a").fingerprint != before.fingerprint
    assert (tmp_path / "calls").read_text() == "xlonger"


def test_an_edited_module_of_the_same_size_and_time_is_the_edited_one(project, module, tmp_path):
    """Python's own cache of compiled modules would not notice."""
    for label in ("x", "y"):
        module(CALLS.replace('label="x"', f'label="{label}"'))
        os.utime(tmp_path / "made.py", (1.7e9, 1.7e9))
        subprocess.run([sys.executable, "-c", "import made"], cwd=tmp_path, check=True)
        datasets = project({"a": {"kind": "python", "function": "made:rows"}})
        assert datasets.open("a").frame.collect().item() == label


def test_siblings_are_importable_and_nothing_is_left_behind(project, module, tmp_path):
    module("VALUE = 1\n", "helpers")
    module("VALUE = 2\n", "late")
    module("import helpers\ndef value():\n    import late\n    return helpers.VALUE + late.VALUE\n")
    path, modules = list(sys.path), set(sys.modules)
    value = load_function(CodeFolder(tmp_path), "made:value")
    assert value() == 3
    assert value() == 3
    assert sys.path == path
    assert set(sys.modules) == modules
    assert not (tmp_path / "__pycache__").exists()


def test_two_folders_have_their_own_modules_of_the_same_name(tmp_path):
    functions = []
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "helpers.py").write_text(f"VALUE = {number}\n")
        (folder / "made.py").write_text(
            "from helpers import VALUE\ndef value():\n    import helpers\n    return VALUE, helpers.VALUE\n"
        )
        functions.append(load_function(CodeFolder(folder), "made:value"))
    assert [function() for function in functions] == [(1, 1), (2, 2)]


def test_a_module_of_a_package(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("BASE = 1\n")
    (tmp_path / "package" / "made.py").write_text(
        "from package import BASE\nfrom . import other\ndef value():\n    return BASE + other.ONE\n"
    )
    (tmp_path / "package" / "other.py").write_text("ONE = 1\n")
    before = set(sys.modules)
    assert load_function(CodeFolder(tmp_path), "package.made:value")() == 2
    assert set(sys.modules) == before


def test_a_module_already_imported_under_the_same_name_is_put_back(tmp_path, module):
    module("def value():\n    return 'mine'\n", "colorsys")
    import colorsys

    assert load_function(CodeFolder(tmp_path), "colorsys:value")() == "mine"
    assert sys.modules["colorsys"] is colorsys


def test_dataclasses_and_annotations_work_in_a_module(tmp_path, module):
    module(
        "from __future__ import annotations\nfrom dataclasses import dataclass\nimport typing\n"
        "@dataclass\nclass A:\n    x: int = 1\n"
        "def value():\n    return typing.get_type_hints(A)['x'] is int and A().x\n"
    )
    assert load_function(CodeFolder(tmp_path), "made:value")() == 1


def failure(folder, reference, *arguments):
    with pytest.raises(DataError) as caught:
        load_function(CodeFolder(folder), reference)(*arguments)
    return str(caught.value)


def test_no_such_module(module):
    folder = module("")
    assert re.fullmatch(
        r"there is no module 'mad': .*mad\.py does not exist; did you mean 'made'\?", failure(folder, "mad:rows")
    )


def test_no_such_function(module):
    folder = module("def transactions():\n    pass\nrows = 1\n")
    assert "made.py has no function 'transaction'; did you mean 'transactions'?" in failure(folder, "made:transaction")
    assert "made.py has no function 'rows'" in failure(folder, "made:rows")


def test_a_module_that_cannot_be_imported(module):
    folder = module("import polars\nimport no_such_library\n")
    said = failure(folder, "made:rows")
    assert re.search(
        r"importing made.py failed: .*made\.py:2: ModuleNotFoundError: No module named 'no_such_library'", said
    )


def test_a_syntax_error(module):
    folder = module("def rows():\n    retrun 1\n")
    assert re.search(r"importing made.py failed: .*made\.py:2: SyntaxError: ", failure(folder, "made:rows"))


def test_a_function_that_raises_is_blamed_at_the_users_line(module):
    folder = module("import json\ndef helper():\n    return json.loads('{')\ndef rows():\n    return helper()\n")
    said = failure(folder, "made:rows")
    assert re.search(r"made:rows failed: .*made\.py:3: JSONDecodeError: ", said)
    assert "Traceback" not in said


def test_a_function_that_exits(module):
    folder = module("import sys\ndef rows():\n    sys.exit('no data today')\n")
    assert re.search(r"made\.py:3: SystemExit: no data today", failure(folder, "made:rows"))


def test_a_function_that_raises_something_other_than_an_exception(module):
    folder = module("class Stop(BaseException):\n    pass\ndef rows():\n    raise Stop('no data today')\n")
    assert re.search(r"made:rows failed: .*made\.py:4: Stop: no data today", failure(folder, "made:rows"))


def test_wrong_arguments(module):
    folder = module("def rows(n):\n    pass\n")
    assert "made:rows failed: TypeError: rows() missing 1 required positional argument: 'n'" in failure(
        folder, "made:rows"
    )


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("None", "made:rows returned NoneType; it must return a polars DataFrame or LazyFrame"),
        ("[1]", "made:rows returned list; it must return"),
        (
            "type('Table', (), {'__module__': 'pyarrow.lib'})()",
            (
                "returned pyarrow.lib.Table; it must return a polars DataFrame or LazyFrame; "
                "convert it with polars.from_arrow(…)"
            ),
        ),
    ],
)
def test_a_function_that_returns_no_frame(project, module, expression, said):
    module(f"def rows():\n    return {expression}\n")
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        project({"t": {"kind": "python", "function": "made:rows"}}).open("t")
    assert str(caught.value).startswith("dataset 't': ")


def test_a_lazy_frame_that_fails_when_it_is_read(project, module):
    module("import polars as pl\ndef rows():\n    return pl.LazyFrame({'a': ['x']}).cast(pl.Int64)\n")
    with pytest.raises(
        DataError, match=r"dataset 't': .*1 of 1 values of column 'a' cannot be converted from text to integer"
    ):
        project({"t": {"kind": "python", "function": "made:rows"}}).open("t")


def test_a_lazy_frame_whose_own_code_fails_when_it_is_read(project, module):
    module(
        "import polars as pl\ndef double(batch):\n    return batch.no_such_method()\n"
        "def rows():\n    return pl.LazyFrame({'a': [1]}).map_batches(double)\n"
    )
    with pytest.raises(DataError, match=r"^dataset 't': reading what made:rows returned failed: .*made\.py:3: Attrib"):
        project({"t": {"kind": "python", "function": "made:rows"}}).open("t")


def test_a_frame_of_python_objects(project, module):
    module("import polars as pl\ndef rows():\n    return pl.DataFrame({'a': pl.Series([object()], dtype=pl.Object)})\n")
    with pytest.raises(DataError, match=r"dataset 't': column 'a' holds Python objects"):
        project({"t": {"kind": "python", "function": "made:rows"}}).open("t")


def test_a_contract_holds_for_what_a_function_returns(project, module):
    module("import polars as pl\ndef rows():\n    return pl.DataFrame({'a': [1, 2, 30]})\n")
    datasets = project({"t": {"kind": "python", "function": "made:rows", "columns": {"a": {"max": 10}}}})
    with pytest.raises(DataError, match=r"dataset 't' .*column 'a': 1 of 3 values is above max 10: row 3 \(30\)"):
        verify_contract(datasets.open("t"))


def test_frames_of_functions_are_polars_frames(project, module):
    module("import polars as pl\ndef rows():\n    return pl.DataFrame({'a': [1]})\n")
    table = project({"t": {"kind": "python", "function": "made:rows"}}).open("t")
    assert isinstance(table.frame, pl.LazyFrame)
    assert table.rereadable
