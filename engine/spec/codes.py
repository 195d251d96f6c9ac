"""Every diagnostic code of the language and what it means: the reference page prints this table.

A code is stable: editors, CI filters and tests may rely on it. A new problem gets a line here first.
"""

CODES: dict[str, str] = {
    # metrics
    "bad-metric": "A metric is not written as statistic or statistic.column.",
    "unknown-metric": "No metric of that name exists there.",
    "metric-member": "A column is missing after the statistic, or stands where none belongs.",
    "metric-needs-model": "The metric needs a model and the store has none.",
    "metric-needs-task": "The metric does not exist for the model's task.",
    # run conditions
    "condition-syntax": "A run condition cannot be read.",
    "condition-operator": "An operator or function that run conditions do not have.",
    "condition-template": "A run condition holds ${…} or {{…}}: it is a bare expression.",
    "condition-name": "An unknown name in a run condition.",
    "condition-later-step": "A run condition asks for a step that has not run yet.",
    "condition-outcome": "An outcome that cannot be there: misspelt, or of the other family.",
    "condition-type": "The types of a run condition do not fit together.",
    "condition-constant": "A run condition is always true or always false.",
    "condition-too-big": "A run condition is too long or too deeply nested.",
    # SQL
    "sql-syntax": "The SQL cannot be read.",
    "sql-statement": "The SQL is not one SELECT.",
    "sql-unknown-dataset": "The SQL reads a table that is no declared dataset.",
    "sql-file": "The SQL reads a file or a table function: only declared datasets may be read.",
    "sql-variable": "A ${…} stands in SQL where no literal can.",
    "sql-unknown-variable": "An undeclared variable in SQL.",
    "sql-too-big": "The SQL is too long or too deeply nested.",
}
