"""The Python files that functions need, found by reading them."""

import sys
from pathlib import Path

import pytest

from engine.data.user_code.module_files import list_module_files
from engine.errors import DataError


def list_names(folder: Path, *functions: str) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in list_module_files(folder, functions)]


def test_what_a_module_imports_in_its_folder_is_found_at_any_depth_and_in_any_form(tmp_path):
    (tmp_path / "tools" / "deep").mkdir(parents=True)
    (tmp_path / "plain").mkdir()
    for name, text in {
        "start.py": "import json, numpy\nfrom tools import first\nimport plain.inside as p\n",
        "tools/__init__.py": "from .second import thing\n",
        "tools/first.py": "from .deep.third import x\nimport importlib\nimportlib.import_module('late')\n",
        "tools/second.py": "from . import fourth\nthing = 1\n",
        "tools/fourth.py": "from ..tools import first\n",
        "tools/deep/third.py": "from ...start import nothing\nfrom .. import fifth\n",
        "tools/fifth.py": "",
        "tools/unused.py": "raise SystemExit\n",
        "plain/inside.py": "try:\n    import absent\nexcept ImportError:\n    import circle\n",
        "circle.py": "import start\n",
        "late.py": "",
        "other.py": "",
    }.items():
        (tmp_path / name).write_text(text)
    assert list_names(tmp_path, "start:f") == [
        "circle.py", "late.py", "plain/inside.py", "start.py", "tools/__init__.py", "tools/deep/third.py",
        "tools/fifth.py", "tools/first.py", "tools/fourth.py", "tools/second.py",
    ]  # fmt: skip


def test_no_code_is_run(tmp_path):
    (tmp_path / "danger.py").write_text("import sys\nsys.modules['it_was_run'] = sys\n")
    assert list_names(tmp_path, "danger:f") == ["danger.py"]
    assert "it_was_run" not in sys.modules


def test_a_module_that_is_absent_or_no_python_is_named(tmp_path):
    with pytest.raises(DataError, match="there is no module 'absent'"):
        list_names(tmp_path, "absent:f")
    (tmp_path / "broken.py").write_text("def f(:\n")
    with pytest.raises(DataError, match=r"broken\.py is not Python"):
        list_names(tmp_path, "broken:f")
