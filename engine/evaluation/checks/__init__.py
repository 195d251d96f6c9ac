"""Apply the checks of a spec to the metrics of a dataset or an evaluation, and judge how much each result says."""
