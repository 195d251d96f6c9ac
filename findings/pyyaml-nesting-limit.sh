#!/usr/bin/env bash
#
# What surprises: PyYAML 6.0.4, whose wheel holds libyaml 0.2.6, refuses more
# than 1,000 nested flow sequences in its C loader; 6.0.3 (libyaml 0.2.5) and
# the pure Python loader of both versions turn them into events. The limit sits
# in the scanner, which reads up to 1,024 characters ahead on one line to see
# whether a sequence is the key of a mapping. So the error comes before the
# events of the sequences around it: in a document that begins with 1,001
# brackets on one line, yaml.parse delivers the start of the stream and then
# raises, while the same brackets one to a line give 1,001 events first.
#
# Whom it concerns: readers that consume events one by one and count the depth
# themselves, to refuse deep input with their own message: their check never
# runs. And anyone who relies on the two loaders agreeing.
#
# Expected: a limit that the release notes give, the same in both loaders, and
# events delivered up to the level that is refused.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"

cat > "$tmp/show.py" <<'PY'
import platform
import sys

import yaml

version = sys.argv[1]
print(f"Python {platform.python_version()}, PyYAML {yaml.__version__}, "
      f"libyaml {yaml._yaml.get_version_string()}")


def events(text, loader):
    count = 0
    try:
        for _ in yaml.parse(text, Loader=loader):
            count += 1
    except yaml.YAMLError as error:
        return count, f"{type(error).__name__}: {error.problem}"
    return count, "parsed"


def nested(levels, between=""):
    return ("[" + between) * levels + "]" * levels


refused = "ScannerError: exceeded maximum nesting depth"
limited = version == "6.0.4"
cases = [
    ("C loader,      1,000 levels, one line      ", nested(1000), yaml.CSafeLoader,
     (2004, "parsed")),
    ("C loader,      1,001 levels, one line      ", nested(1001), yaml.CSafeLoader,
     (1, refused) if limited else (2006, "parsed")),
    ("C loader,      1,001 levels, a line each   ", nested(1001, "\n"),
     yaml.CSafeLoader, (1001, refused) if limited else (2006, "parsed")),
    ("Python loader, 1,001 levels, one line      ", nested(1001), yaml.SafeLoader,
     (2006, "parsed")),
]
for name, text, loader, expected in cases:
    count, outcome = events(text, loader)
    print(f"  {name} {count:5} events, then: {outcome}")
    if (count, outcome) != expected:
        sys.exit(f"CHANGED: {name.strip()}: {(count, outcome)}, not {expected}")
PY

for version in 6.0.3 6.0.4; do
    "$tmp/venv/bin/pip" install -qq --disable-pip-version-check "PyYAML==$version"
    "$tmp/venv/bin/python" "$tmp/show.py" "$version"
done
