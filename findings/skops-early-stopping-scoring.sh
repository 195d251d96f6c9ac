#!/usr/bin/env bash
#
# What surprises: skops cannot save a fitted histogram gradient boosting model
# of scikit-learn once the model was fitted with early stopping and a named
# scorer: skops.io.dumps raises RecursionError. The same model with
# scoring="loss" is saved, and pickle saves both.
#
# Why: after such a fit scikit-learn leaves the method _raw_predict, bound to
# the model itself, among the model's own attributes; skops then follows the
# model into its method and back, without end.
#
# Whom it concerns: anyone who saves such models with skops.
#
# Expected: the model is saved, or refused with a message that names the
# attribute.
set -euo pipefail

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
"${PYTHON:-python3}" -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -qq --disable-pip-version-check \
    skops==0.16.0 scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1 \
    joblib==1.6.0 threadpoolctl==3.8.0 narwhals==2.29.0

"$tmp/venv/bin/python" - <<'PY'
import pickle
import platform
import sys

import numpy as np
import skops
import skops.io
import sklearn
from sklearn.ensemble import HistGradientBoostingClassifier

print(f"Python {platform.python_version()}, skops {skops.__version__}, "
      f"scikit-learn {sklearn.__version__}")

X = np.random.default_rng(0).normal(size=(200, 3))
y = (X[:, 0] > 0).astype(int)


def fitted(scoring):
    model = HistGradientBoostingClassifier(
        max_iter=5, early_stopping=True, scoring=scoring
    )
    return model.fit(X, y)


print('scoring="loss":     skops.io.dumps gives',
      len(skops.io.dumps(fitted("loss"))), "bytes")

model = fitted("accuracy")
print('scoring="accuracy": pickle.dumps gives', len(pickle.dumps(model)), "bytes")
try:
    size = len(skops.io.dumps(model))
except RecursionError as error:
    print('scoring="accuracy": skops.io.dumps raises RecursionError:', error)
else:
    sys.exit(f"CHANGED: skops.io.dumps saved the model ({size} bytes)")

method = vars(model).get("_raw_predict")
if getattr(method, "__self__", None) is not model:
    sys.exit("CHANGED: the model no longer holds its own method _raw_predict")
print("the fitted model holds _raw_predict, a method bound to itself")

del model._raw_predict
print("with that attribute deleted, skops.io.dumps gives",
      len(skops.io.dumps(model)), "bytes")
PY
