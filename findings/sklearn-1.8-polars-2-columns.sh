#!/usr/bin/env bash
#
# What surprises: with polars 2, scikit-learn 1.8.0 no longer sees the column
# names of a polars frame.
#   - A ColumnTransformer that selects columns by name fails with
#     AttributeError: 'list' object has no attribute 'get_loc'.
#   - Worse, a plain estimator says nothing: it learns no names, so a frame
#     whose columns come in another order is accepted, and the predictions are
#     wrong. With polars 1, or with scikit-learn 1.9.1, the same call raises.
#
# Why: scikit-learn 1.8.0 knows a polars frame only by its method
# __dataframe__, which polars 2 does not have. Nothing in the package's
# requirements keeps the two apart.
#
# Whom it concerns: anyone who gives polars frames to scikit-learn 1.8 and
# lets polars upgrade.
#
# Expected: names are seen, or the frame is refused with a clear message.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"

install() {
    "$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
        numpy==2.4.6 scipy==1.17.1 joblib==1.6.0 threadpoolctl==3.8.0 "$@"
}

cat > "$tmp/show.py" <<'PY'
import platform
import sys

import polars as pl
import sklearn
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

want_names = sys.argv[1] == "names"
print(f"Python {platform.python_version()}, scikit-learn {sklearn.__version__}, "
      f"polars {pl.__version__}")

frame = pl.DataFrame({"a": [1.0, 2.0, 3.0, 5.0], "b": [4.0, 3.0, 2.0, 0.5]})
target = [1.0, 2.0, 3.0, 5.0]
print("  a polars frame has __dataframe__:", hasattr(frame, "__dataframe__"))

try:
    ColumnTransformer([("scale", StandardScaler(), ["a", "b"])]).fit(frame)
    by_name = True
    print("  ColumnTransformer, columns by name: fits")
except AttributeError as error:
    by_name = False
    print("  ColumnTransformer, columns by name: AttributeError:", error)

model = LinearRegression().fit(frame, target)
names = getattr(model, "feature_names_in_", None)
print("  names the model learnt:", names)
print("  target:                         ", target)
try:
    swapped = model.predict(frame.select("b", "a"))
    refused = False
    print("  predictions, columns b, a:      ", [round(float(v), 3) for v in swapped])
except ValueError as error:
    refused = True
    print("  predictions, columns b, a: ValueError:", str(error).splitlines()[0])

seen = (by_name, names is not None, refused)
if seen != ((True,) * 3 if want_names else (False,) * 3):
    sys.exit(f"CHANGED: (fits by name, learns names, refuses swapped columns) = {seen}")
PY

install scikit-learn==1.8.0 polars==1.35.1
"$tmp/venv/bin/python" "$tmp/show.py" names
install scikit-learn==1.8.0 polars==2.1.0
"$tmp/venv/bin/python" "$tmp/show.py" no-names
install scikit-learn==1.9.1 polars==2.1.0 narwhals==2.29.0
"$tmp/venv/bin/python" "$tmp/show.py" names
