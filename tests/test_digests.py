"""The fingerprints that stores keep: a change of these digests would compute everything again."""

from datetime import date
from pathlib import Path

from engine.data.files.hashes import InMemoryFileHashes, hash_file
from engine.digests import digest_json, digest_texts
from engine.models.fingerprints import fingerprint_model

SETTINGS = {"b": [1, 2.5, None, "ä"], "a": {}}


def test_digests_are_those_of_earlier_versions(tmp_path: Path) -> None:
    assert digest_json(SETTINGS | {"a": date(2017, 10, 1)}) == "641e363d134e3e31e5e151320dff525b"
    assert digest_texts("ab", "c", "ä") == "aefa2fab9f7edebb75c9fddf731550c4"
    assert (
        fingerprint_model({"spec": SETTINGS, "fit": None, "code": {"a.py": "x"}}) == "fccefc06bfe2f287ae19acd0deb5ce9d"
    )
    (tmp_path / "t.csv").write_bytes(b"a,b\n1,2\n")
    assert hash_file(tmp_path / "t.csv", InMemoryFileHashes()) == "a2b7d5004d96e62b24e41e53c5d85ebf"
