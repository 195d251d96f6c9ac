"""`engine init`: which files it reads and writes, what it refuses, and the examples."""

import gzip
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
import typer

from engine.cli.verbs import init
from engine.errors import DataError

from ..command_line import call_engine
from ..small_disks import fill_disk, mount_small_disk
from .init_proposals import N, plain, proposed, ran, text, write


def csv(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    return path


ROWS = [(i, round(5 + i % 17 / 7, 2), "abc"[i % 3], f"2024-0{1 + i * 9 // N}-1{i % 9}") for i in range(N)]


@pytest.mark.parametrize(
    ("name", "content", "families"),
    [
        ("a.csv", "".join(f"{i};{x};{c};{d}\n" for i, x, c, d in ROWS).replace(".", ","), "integer number text date"),
        ("a.tsv", "".join(f"{i}\t{x}\t{c}\t{d}\n" for i, x, c, d in ROWS), "integer number text date"),
        ("a.txt", "".join(f"{i}|{x}|{c}|{d}\n" for i, x, c, d in ROWS), "integer number text date"),
        ("a.csv.gz", "".join(f"{i};{x};{c};{d}\n" for i, x, c, d in ROWS), "integer number text date"),
        ("a [1].csv", "".join(f"{'NA' if i % 9 == 0 else i},{x},{c},{d}\n" for i, x, c, d in ROWS),
         "integer number text date"),
        ("a.csv", "".join(f'{i},"{x}","a, ""b""\n{c}",{d}\n' for i, x, c, d in ROWS), "integer number text date"),
        ("a.csv", "".join(f"{i},{x},{c},{d}T10:00:00Z\n" for i, x, c, d in ROWS), "integer number text datetime"),
        ("a.csv", "".join(f"{2**64 + i},{x},{c},{d}\n" for i, x, c, d in ROWS), "integer number text date"),
        ("a.csv", "".join(f"{i},{1 if i < 11000 else 1.5},{i % 5},oops\n" for i in range(11001)),
         "integer number integer text"),
    ],
)  # fmt: skip
def test_csv_however_it_is_written(name: str, content: str, families: str, tmp_path: Path) -> None:
    separator = next(one for one in ";\t|," if one in content.splitlines()[0])
    header = separator.join(["id", "größe €", "kind", "when"]) + "\n"
    project = write(tmp_path, csv(tmp_path, name, header + content))
    (dataset,) = {project.datasets[name].model_dump_json(exclude={"checks"}) for name in ("reference", "batch")}
    assert name in dataset
    ran(project)
    declared = [column.type for column in project.datasets["batch"].columns.values()]
    assert all(one in (None, two) for one, two in zip(declared, families.split(), strict=True))


def test_a_glob_and_json_lines(tmp_path: Path) -> None:
    for number in (1, 2):
        csv(tmp_path, f"parts/{number}.csv", "x;c\n" + "".join(f"{i};{'ab'[i % 2]}\n" for i in range(50)))
    assert list(write(tmp_path, tmp_path / "parts" / "*.csv").datasets["batch"].columns) == ["x", "c"]
    lines = "".join(f'{{"x": {x}, "c": "{c}"}}\n' for _, x, c, _ in ROWS)
    ran(write(tmp_path / "other", csv(tmp_path, "x.jsonl", lines)))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"id,gr\x81\xdfe\n1,2\n", "not cp1252"),
        ("a.csv", b"a,b\n1,2\n3\n", "line 3 has 1 field"),
        ("a.csv", b"a,b\n", "has no rows"),
        ("a.csv", b"", "empty"),
        ("a.parquet", b"nonsense", "cannot be read"),
        ("a.xlsx", b"PK", "is named like a spreadsheet, which cannot be read: save the sheet as CSV"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said):
        write(tmp_path, tmp_path / name)
    assert not (tmp_path / "it is").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    project = proposed(tmp_path, plain())
    before = text(project)
    with pytest.raises(typer.BadParameter, match=r"project\.yaml exists already"):
        proposed(tmp_path, plain(20))
    (tmp_path / "a file").write_text("mine")
    with pytest.raises(typer.BadParameter, match="is a file, not a folder"):
        init.command(tmp_path / "a file")
    assert text(project) == before
    with pytest.raises(typer.BadParameter, match="cannot be written"):
        init.command(tmp_path / "a file" / "within")
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello" / "2025.csv").write_text("mine")
    with pytest.raises(typer.BadParameter, match=r"2025\.csv cannot be written"):
        init.command(tmp_path / "hello")
    assert (tmp_path / "hello" / "2025.csv").read_text() == "mine"


@pytest.mark.slow
def test_a_full_disk_leaves_no_spec_that_is_in_the_way_later(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("amount\n" + "1.5\n2.5\n" * 20)
    with mount_small_disk(tmp_path / "disk", "size=64k") as disk:
        full = fill_disk(disk / "full")
        init_again = ("init", str(disk / "new"), "--data", str(tmp_path / "a.csv"))
        for arguments in (init_again, ("schema", str(disk / "schemas"))):
            refused = call_engine(tmp_path, *arguments)
            assert refused.returncode == 2, refused.stderr
            assert "cannot be written: No space left on device" in refused.stderr
        full.unlink()
        done = call_engine(tmp_path, *init_again)
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_disk_that_is_full_in_the_middle_keeps_none_of_several_files(tmp_path: Path) -> None:
    with mount_small_disk(tmp_path / "disk", "size=400k") as disk:
        (disk / "schemas").mkdir()
        (disk / "schemas" / "reference.md").write_text("an earlier page")
        fill = fill_disk(disk / "fill", leave=40_000)  # space for the first files only
        for arguments in (("init", "hello"), ("init", "nightly", "--example", "nightly"), ("schema",)):
            refused = call_engine(disk, *arguments)
            assert (refused.returncode, "No space left on device" in refused.stderr) == (2, True), refused.stderr
        left = [path.relative_to(disk).as_posix() for path in disk.rglob("*") if path.is_file()]
        assert sorted(left) == ["fill", "schemas/reference.md"]
        assert (disk / "schemas" / "reference.md").read_text() == "an earlier page"
        fill.unlink()
        assert call_engine(disk, "init", "hello").returncode == 0


def test_the_first_minutes(tmp_path: Path) -> None:
    """As a newcomer types it: the example, the command that it prints, then a spec for a file."""
    told = call_engine(tmp_path, "init", "hello")
    assert told.stdout == "hello/project.yaml\nNext: engine run hello/project.yaml\n"
    hello = call_engine(tmp_path, "run", "hello/project.yaml")
    assert hello.returncode == 0, hello.stderr
    assert "WARNING  column drift: drift.delivery_days" in hello.stdout
    told = call_engine(tmp_path, "init", "my orders", "--data", "hello/2025.csv", "--target", "voucher")
    assert told.stdout.splitlines()[-1] == "Next: engine run 'my orders/project.yaml'"
    assert call_engine(tmp_path, "validate", "my orders/project.yaml").stdout == "my orders/project.yaml: valid\n"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--target", "voucher"], 2), (["--data", "a.csv", "--prediction", "b"], 2), (["--data", "a.csv"], 3)],
)
def test_exit_codes_of_what_is_refused(arguments: list[str], code: int, tmp_path: Path) -> None:
    told = call_engine(tmp_path, "init", "folder", *arguments)
    assert told.returncode == code, told.stderr
    assert "Traceback" not in told.stderr
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--period", "week", "--data", "a.csv"], "needs --time too"),
        (["--reference", "a.csv"], "needs --data FILE too"),
        (["--example", "hello", "--data", "a.csv"], "is without --data"),
        (["--data", "a.csv", "--time", "day", "--period", "month"], "has only one month, 2025-01"),
        (["--data", "a.csv", "--time", "n", "--period", "month"], "holds whole numbers, not dates"),
        (["--data", "a.csv", "--reference", "b.csv", "--target", "n"], "there is no column 'n' in the reference"),
    ],
)
def test_options_that_do_not_fit_are_refused(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,day\n" + "".join(f"{i},2025-01-{i + 1:02}\n" for i in range(30)))
    (tmp_path / "b.csv").write_text("m,day\n" + "".join(f"{i},2025-01-{i + 1:02}\n" for i in range(30)))
    told = call_engine(tmp_path, "init", "folder", *arguments)
    assert told.returncode == 2, told.stdout
    assert said in told.stderr
    assert not (tmp_path / "folder").exists()


@pytest.mark.slow
def test_the_examples_run_from_a_wheel(tmp_path: Path) -> None:
    """Outside the checkout, with the libraries of this environment."""
    if (uv := shutil.which("uv")) is None:
        pytest.skip("needs uv to build a wheel")
    root = Path(__file__).parents[2]
    subprocess.run([uv, "build", "--wheel", "-q", "-o", tmp_path / "dist", root], check=True, timeout=120)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    for name, words in (("card_fraud", "Q4 2017"), ("hello", "column drift")):
        for arguments in (["init", name, "--example", name], ["run", f"{name}/project.yaml"]):
            told = subprocess.run([sys.executable, "-m", "engine", *arguments], cwd=tmp_path, env=environment,
                                  capture_output=True, text=True, timeout=250, check=False)  # fmt: skip
            assert told.returncode == 0, told.stderr
        assert words in told.stdout


def test_what_is_recognized_is_declared_for_later_files_and_reported(tmp_path: Path) -> None:
    rows = "".join(f"{1000 + i:,}.50 EUR;{i % 28 + 1:02}.02.2025;{'NA' if i % 9 else i};caf\xe9\n" for i in range(99))
    (tmp_path / "a.csv").write_text("umsatz;datum;n;ort\n" + rows, encoding="cp1252")
    told = call_engine(tmp_path, "init", "watch", "--data", "a.csv")
    assert "column 'n' is read as integer: 'NA' means missing" in told.stdout
    spec = (tmp_path / "watch" / "project.yaml").read_text()
    assert 'csv: {separator: ";", thousands: ",", date_order: dmy, encoding: cp1252}' in spec
    assert "# column 'umsatz' is read as numbers with ',' between thousands and the sign 'EUR'" in spec
    assert call_engine(tmp_path, "plan", "watch/project.yaml").returncode == 0


def test_a_line_under_the_table_is_named_where_the_column_of_time_is_not_one(tmp_path: Path) -> None:
    rows = "".join(f"2025-01-{d:02} {h:02}:00:00,{h}\n" for d in range(1, 29) for h in range(24))
    (tmp_path / "sales.csv").write_text("when,amount\n" + rows + "TOTAL,9\n")
    told = call_engine(tmp_path, "init", "watch", "--data", "sales.csv", "--time", "when")
    assert told.returncode == 2
    assert "column 'when' is text, but 99.9 % of its values read as times" in told.stderr
    assert "line 674 of sales.csv holds 'TOTAL': correct 'TOTAL' or remove its line" in told.stderr
