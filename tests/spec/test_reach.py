"""Values of a request lead out of no folder and change no address; those that the spec has of its own may."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import SpecError
from engine.spec import load

SPEC = """\
version: 1
project: shop
variables:
  place: inbox
  day: {type: text, value: "2026-11-01"}
  file: "${day}.csv"
  base: OUTSIDE
  mail: ann
  folder: {type: text, value: ".engine"}
  later: none
secrets: {key: {env: KEY, optional: true}}
connections:
  lake: {kind: file, root: lake}
datasets:
  by_place: {kind: file, path: "data/${place}/sales.csv"}
  by_file: {kind: file, path: "data/${file}"}
  in_lake: {kind: file, connection: lake, path: "${place}.parquet"}
  elsewhere: {kind: file, path: "OUTSIDE/in/${place}.csv"}
  by_base: {kind: file, path: "${base}/fixed.csv"}
  made: {kind: python, function: "mine:${place}", arguments: {day: "${day}"}}
models:
  m: {kind: skops, path: "models/${place}.skops", task: regression, target: y, features: {include: [a]}}
channels:
  box: {kind: file, path: "told/${place}"}
  rows: {kind: dataset, path: "told/${file}"}
  mail: {kind: mail, url: "smtp://localhost", from: engine@example.org}
  hook: {kind: webhook, url: "https://example.org/${mail}"}
scenarios:
  nightly:
    description: "of ${day} in ${place} for ${mail}"
    variables: {later: "${place}"}
    steps:
      - {name: export, kind: export, dataset: by_file, path: "out/${place}/${file}"}
      - {name: set, kind: set_variables, variables: {later: "${place}-${day}"}}
    reporters:
      - {name: box, channel: box, message: "${day} ${place} ${mail}"}
      - {name: mail, channel: mail, to: ["${later}@example.org"], message: "${day}"}
state: {path: "${folder}"}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    (home / "data" / "inbox").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    path = home / "spec.yaml"
    path.write_text(SPEC.replace("OUTSIDE", str(tmp_path / "outside")))
    return path


def list_problems(path: Path, **values: str) -> list[str]:
    """Return what is wrong with the values of a request."""
    try:
        load(path, values, confined=values)
    except SpecError as error:
        return [one.message for one in error.diagnostics if one.code == "reach"]
    return []


def without_receiver(path: Path) -> Path:
    path.write_text(path.read_text().replace("${later}@", "ann@"))
    return path


def test_values_that_stay_inside_are_taken(path: Path) -> None:
    without_receiver(path)
    for place in ("inbox", "2026", "a-b.c", "x/y", "x/../inbox", ".", "", "deep/er/..", "~root", "$HOME"):
        assert list_problems(path, place=place) == [], place
    assert list_problems(path, day="2026-11-05") == []
    load(path, {"place": "other", "day": "2026-11-05"}, confined=["place", "day"])


@pytest.mark.parametrize(
    "place", ["../..", "../../../../../../etc", "x/../../..", "../../outside", "\x00", "../../home-2"]
)
def test_a_path_that_leads_out_is_refused_wherever_it_stands(path: Path, place: str) -> None:
    without_receiver(path)
    found = list_problems(path, place=place)
    assert any("data/" in one for one in found)
    assert any(".parquet" in one for one in found)
    assert all("place" in one for one in found)
    assert len(found) >= 4


def test_a_path_that_is_absolute_is_refused(path: Path) -> None:
    without_receiver(path)
    (found,) = list_problems(path, place="/etc/passwd")  # after a folder it leads to nowhere else
    assert "/etc/passwd.parquet" in found


def test_what_is_made_of_a_value_is_held_to_the_same(path: Path) -> None:
    found = list_problems(without_receiver(path), day="../../../../etc/passwd")
    assert {one.split('"')[1] for one in found} == {"file"}
    assert len(found) == 3


def test_a_folder_that_the_spec_names_before_the_variable_bounds_it(path: Path) -> None:
    without_receiver(path)
    assert list_problems(path, place="a/b") == []
    found = list_problems(path, place="../secret")
    assert [one.rpartition(" leads out of ")[2] for one in found] == [str(path.parent / "lake"), str(path.parent)]


def test_values_of_the_spec_itself_may_lead_out(path: Path) -> None:
    without_receiver(path)
    assert load(path).datasets
    assert load(path, {"base": "/somewhere/else"}).datasets
    assert list_problems(path, place="inbox") == []
    assert len(list_problems(path, base="/somewhere/else")) == 1


def test_addresses_receivers_and_the_state_are_the_spec_s_alone(path: Path) -> None:
    assert list_problems(path, mail="bob") == ['a request may not change channels.hook.url by the variable "mail"']
    assert list_problems(path, folder="other") == ['a request may not change state.path by the variable "folder"']
    assert list_problems(path, place="inbox") == [
        'a request may not change scenarios.nightly.reporters.1.to.0 by the variable "later"'
    ]


def test_links_are_followed_and_patterns_refused(path: Path, tmp_path: Path) -> None:
    without_receiver(path)
    (path.parent / "data" / "link").symlink_to(tmp_path / "outside")
    assert any("leads out of" in one for one in list_problems(path, place="link"))
    for pattern in ("l*nk", "lin?", "lin[k]"):
        assert any("contains a pattern" in one for one in list_problems(path, place=pattern))
    (path.parent / "data" / "round").symlink_to(path.parent / "data" / "round")
    assert any("data/round/sales.csv" in one or "data/${place}" in one for one in list_problems(path, place="round"))
    # A folder of the spec's own that is a link bounds what is in it.
    (path.parent / "data" / "link").unlink()
    (path.parent / "data" / "inbox").rmdir()
    (path.parent / "data" / "round").unlink()
    (path.parent / "data").rmdir()
    (path.parent / "data").symlink_to(tmp_path / "outside")
    assert list_problems(path, day="2026-11-05") == []


def test_values_that_change_during_the_run_are_held_to_the_same(path: Path) -> None:
    without_receiver(path)
    project = load(path, {"place": "inbox"}, confined=["place"])
    with pytest.raises(SpecError, match="leads out of"):
        project.with_variables({"place": "../.."})
    assert project.with_variables({"base": "/somewhere/else"}).confined == {"place"}


def test_a_function_is_one_of_the_folder_whatever_its_name(path: Path) -> None:
    for name in ("os.system", "../evil", "/tmp/x:f", "f:g", "f\n", "__import__('os')"):
        with pytest.raises(SpecError, match=r"module:function|control|leads out"):
            load(path, {"place": name}, confined=["place"])


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.sampled_from(["..", ".", "", "a", "inbox", "link", "home", "data", "%2e%2e"]), max_size=6))
def test_it_agrees_with_what_the_system_makes_of_the_path(path: Path, parts: list[str]) -> None:
    home = path.parent.resolve()
    text = (
        "version: 1\nproject: p\nvariables: {place: {type: text, value: x}}\n"
        'datasets: {d: {kind: file, path: "data/${place}/f.csv"}}\n'
        "scenarios: {s: {steps: [{name: b, kind: build, target: d}]}}\n"
    )
    spec = path.with_name("small.yaml")
    spec.write_text(text)
    if not (home / "data" / "link").is_symlink():
        (home / "data" / "link").symlink_to(home.parent / "outside")
    place = "/".join(parts)
    real = os.path.realpath(f"{home}/data/{place}/f.csv")
    outside = not real.startswith(f"{home}/")
    assert bool(list_problems(spec, place=place)) == outside


def test_a_request_does_not_choose_the_table_of_a_database(path: Path) -> None:
    stored = '  t: {kind: stored, connection: lake, path: a.csv, table: "sales_${place}"}\nmodels:'
    path.write_text(path.read_text().replace("models:", stored, 1))
    with pytest.raises(SpecError, match=r'a request may not change datasets\.t\.table by the variable "place"'):
        load(path, confined=["place"])
