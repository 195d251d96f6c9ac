"""What a .skops file says of itself decides before anybody is asked to trust its types."""

import json
import zipfile
from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from engine.errors import ModelError
from engine.models.versions.skops_files import UnloadableModelError, UntrustedTypesError, load_estimator

Schema = dict[str, Any]


def saved(change: Callable[[Schema], Schema | bytes] = lambda schema: schema, **others: bytes) -> bytes:
    """Return the bytes of a saved estimator, with another schema.json and other members."""
    rows = np.random.default_rng(0).normal(size=(50, 2))
    plain = skops.io.dumps(LogisticRegression().fit(rows, rows[:, 0] > 0))
    with zipfile.ZipFile(BytesIO(plain)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    schema = change(json.loads(members["schema.json"]))
    members["schema.json"] = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    members |= {name: others["array"] for name in members if name.endswith(".npy") and "array" in others}
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def of_version(number: str) -> Callable[[Schema], Schema]:
    def change(schema: Schema) -> Schema:
        nodes = [schema]
        while nodes:
            node = nodes.pop()
            if isinstance(node, dict):
                if isinstance(node.get("_sklearn_version"), dict):
                    node["_sklearn_version"]["content"] = json.dumps(number)
                nodes.extend(node.values())
        return schema

    return change


def of_type(module: str, name: str) -> Callable[[Schema], Schema]:
    return lambda schema: {**of_version("1.8.0")(schema), "__module__": module, "__class__": name}


def load(content: bytes, allowed: list[str] | None = None) -> tuple[Any, list[str]]:
    return load_estimator(content, allowed or [], "model m", "m.skops", "save it with skops.io.dump")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (saved(of_type("absent_library.models", "Boosted")), "Install the library that has the module absent_library"),
        (
            saved(of_type("_loss", "CyHalfBinomialLoss")),
            r"saved by scikit-learn 1\.8\.0.*Install scikit-learn==1\.8\.0",
        ),
        (
            saved(of_type("sklearn.linear_model._logistic", "Gone")),
            r"sklearn\.linear_model\._logistic\.Gone, which they",
        ),
        (saved(of_type("sklearn.gone", "Gone")), r"Install scikit-learn==1\.8\.0"),
        (saved(of_type("__main__", "Mine")), r"__main__\.Mine"),
        (
            saved(lambda schema: {**schema, "protocol": 9, "_skops_version": "0.99.0"}),
            r"has protocol 9 of skops.*skops==0\.99",
        ),
        (saved(array=b"broken"), r"m\.skops cannot be loaded with the installed libraries: ValueError"),
    ],
)
def test_what_the_installed_libraries_cannot_load_is_said_instead_of_asking_for_trust(content, said):
    with pytest.raises(UnloadableModelError, match=said) as raised:
        load(content)
    assert "trust" not in str(raised.value).partition("ValueError")[0]


@pytest.mark.parametrize(
    "content",
    [
        saved()[: len(saved()) // 2],
        saved()[:-10],
        saved(lambda _: b"[]"),
        saved(lambda _: b"[" * 200_000),
        saved(lambda _: b"{"),
        saved(lambda schema: {**schema, "__module__": None}),
        saved(lambda schema: {**schema, "protocol": "2"}),
        saved(lambda schema: {**schema, "__loader__": "FutureNode"}),
    ],
)
def test_damaged_files_are_not_what_skops_wrote(content):
    with pytest.raises(ModelError, match=r"m\.skops is not a file that skops wrote .*save it with skops\.io\.dump"):
        load(content)


def test_types_are_trusted_by_name_or_all_of_them_where_the_bytes_are_ours():
    strange = saved(lambda schema: {**schema, "__module__": "fractions", "__class__": "Fraction"})
    with pytest.raises(UntrustedTypesError, match=r"not trusted: fractions\.Fraction"):
        load(strange)
    with pytest.raises(UnloadableModelError):  # trusted, but a fraction is not an estimator
        load_estimator(strange, None, "model m", "m.skops", "")


def test_another_version_of_scikit_learn_is_one_note_and_no_warning():
    estimator, notes = load(saved(of_version("1.7.0")))
    assert isinstance(estimator, LogisticRegression)
    assert len(notes) == 1
    assert notes[0].startswith("the model was saved with scikit-learn 1.7.0 and is loaded with ")
    assert load(saved())[1] == []
