"""Secrets: found when they are needed, and nowhere to be read."""

import html
import json
import quopri
import re
import shlex
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from urllib.parse import quote, quote_plus
from xml.sax import saxutils

import markupsafe
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SpecError
from engine.spec import Secrets, load

SPEC = """
version: 1
project: p
variables: {host: mail.example.com}
secrets:
  url: {env: SMTP_URL, optional: true}
  password: {env: PASSWORD}
  key: {file: keys/key}
channels:
  a: {url: "${secret.url}", from: a@example.com, fallback: {kind: file, path: outbox}}
  b: {url: "smtp://me:${secret.password}@${host}", from: a@example.com}
  c: {kind: apprise, url: "json://${secret.key}"}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "spec.yaml").write_text(SPEC)
    return tmp_path / "spec.yaml"


def secrets(path: Path, **environ: str) -> Secrets:
    return Secrets(load(path, environ={}), environ)


def test_references_to_secrets_are_filled_in(path: Path) -> None:
    found = secrets(path, SMTP_URL="smtp://x:y@z", PASSWORD="hunter2")
    assert found.reveal("${secret.url}") == "smtp://x:y@z"
    assert found.reveal("smtp://me:${secret.password}@${host}") == "smtp://me:hunter2@mail.example.com"
    assert found.reveal("no secret $${x}") == "no secret ${x}"


def test_a_file_beside_the_spec(path: Path) -> None:
    (path.parent / "keys").mkdir()
    (path.parent / "keys" / "key").write_text("from-a-file\n")
    assert secrets(path).reveal("json://${secret.key}") == "json://from-a-file"


def test_an_absent_secret_is_named_unless_it_is_optional(path: Path) -> None:
    found = secrets(path, PASSWORD="")
    assert found.reveal("${secret.url}") is None
    with pytest.raises(SpecError) as caught:
        found.reveal("${secret.password}")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "absent-secret"
    assert diagnostic.message == 'secret "password": the environment variable PASSWORD is not set'
    assert diagnostic.position.line == 7
    with pytest.raises(SpecError, match="the file keys/key cannot be read or is empty"):
        found.reveal("${secret.key}")


@pytest.mark.parametrize(
    "text",
    [
        "could not log in with hunter2/&x at mail",
        f"GET /?p={quote('hunter2/&x', safe='')}",
        "smtp://user%40corp:hunter2%2F%26x@mail.example.com:587 refused",
        "user user@corp unknown",
        '{"password": "hunter2/&x"}',
    ],
)
def test_a_secret_is_masked_in_each_spelling(path: Path, text: str) -> None:
    found = secrets(path, SMTP_URL="smtp://user%40corp:hunter2%2F%26x@mail.example.com:587", PASSWORD="other")
    redacted = found.redact(text)
    assert "***" in redacted
    assert "hunter2" not in redacted
    assert "user@corp" not in redacted


def test_what_is_not_secret_stays(path: Path) -> None:
    found = secrets(path, SMTP_URL="smtp://mail.example.com:587", PASSWORD="abc")
    assert found.redact("a scenario ran; abc is short, but is it") == "a scenario ran; abc is short, but is it"


def test_a_password_put_into_a_url_is_hidden(path: Path) -> None:
    found = secrets(path, PASSWORD="correct horse")
    found.reveal("smtp://me:${secret.password}@${host}")
    assert "horse" not in found.redact("auth correct+horse correct%20horse correct horse failed")


NO_MASK = st.characters(exclude_characters="*'", exclude_categories=["Cs"])  # a shell's quotes are masked with a value


@given(st.text(NO_MASK, min_size=4, max_size=30), st.text(NO_MASK, max_size=20), st.text(NO_MASK, max_size=20))
def test_no_value_survives(tmp_path_factory: pytest.TempPathFactory, value: str, before: str, after: str) -> None:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "spec.yaml").write_text(SPEC)
    redacted = secrets(folder / "spec.yaml", PASSWORD=value).redact(before + value + after)
    assert value not in redacted
    if not set(value) & set(before + after):
        assert redacted == f"{before}***{after}"


def test_secrets_are_in_no_representation(path: Path) -> None:
    project = load(path, environ={"PASSWORD": "hunter2"})
    assert "hunter2" not in repr(project)
    assert "hunter2" not in project.render()
    assert "hunter2" not in repr(Secrets(project, {"PASSWORD": "hunter2"}))


SPELLINGS = {
    "as it is": lambda value: value,
    "URL": lambda value: quote(value, safe=""),
    "URL in lower case": lambda value: re.sub("%..", lambda code: code[0].lower(), quote(value, safe="")),
    "form": quote_plus,
    "HTML": html.escape,
    "HTML of templates": lambda value: str(markupsafe.escape(value)),
    "XML": saxutils.escape,
    "JSON": lambda value: json.dumps(value)[1:-1],
    "JSON with its letters": lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    "Python": repr,
    "Python bytes": lambda value: repr(value.encode()),
    "shell": shlex.quote,
    "SQL": lambda value: value.replace("'", "''"),
    "CSV": lambda value: value.replace('"', '""'),
    "quoted-printable": lambda value: quopri.encodestring(value.encode()).decode(),
    "hex": lambda value: value.encode().hex(),
    "hex in capitals": lambda value: value.encode().hex().upper(),
    "another encoding": lambda value: value.encode().decode("latin-1"),
    "one line": lambda value: " ".join(value.split()),
    "base64": lambda value: b64encode(value.encode()).decode(),
    "base64 of a URL": lambda value: urlsafe_b64encode(value.encode()).decode(),
    "AUTH PLAIN": lambda value: b64encode(f"\0user\0{value}".encode()).decode(),
    "AUTH PLAIN of another user": lambda value: b64encode(f"\0users\0{value}".encode()).decode(),
    "AUTH PLAIN of one more": lambda value: b64encode(f"\0us\0{value}\0".encode()).decode(),
    "basic authorization": lambda value: b64encode(f"me:{value}".encode()).decode(),
}
VALUES = [
    "hunter2/&x",
    "correct horse",
    'it\'s "so"',
    "schlüssel-größe",
    "tok_AbCdEf0123456789+/==",
    "two\nlines",
    "a  b  c",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("value", VALUES)
def test_every_spelling_of_a_value_is_masked(path: Path, value: str, spelling: str) -> None:
    found = secrets(path, PASSWORD=value)
    spelled = SPELLINGS[spelling](value)
    redacted = found.redact(f"535 5.7.8 refused ({spelled}): try again")
    assert redacted.startswith("535 5.7.8 refused (")
    assert redacted.endswith("): try again")
    # at most what stands around the value is left, such as quotation marks or the name of a user
    left = redacted.removeprefix("535 5.7.8 refused (").removesuffix("): try again")
    assert "***" in left
    assert len(left.replace("*", "")) <= 12
    assert not any(line in left for line in value.splitlines())


@pytest.mark.parametrize("spelling", ["as it is", "URL", "hex", "base64"])
@pytest.mark.parametrize("ending", ["", "…", "...", "')", "\nnext line"])
def test_what_is_left_of_a_value_that_a_limit_cut_off_is_masked(path: Path, spelling: str, ending: str) -> None:
    value = "tok_AbCdEf0123456789+/=="
    found = secrets(path, PASSWORD=value)
    spelled = SPELLINGS[spelling](value)
    for kept in range(6, len(spelled)):
        redacted = found.redact(f"refused: {spelled[:kept]}{ending}")
        assert redacted == f"refused: ***{ending}", spelled[:kept]


def test_numbers_and_dates_of_json_stay_when_a_secret_is_a_number(path: Path) -> None:
    found = secrets(path, PASSWORD="2024")
    assert found.redact_values({"value": 0.2024, "texts": ["in 2024", 2024]}) == {
        "value": 0.2024,
        "texts": ["in ***", 2024],
    }
