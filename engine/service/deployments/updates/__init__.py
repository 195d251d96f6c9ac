"""Updates of a deployment: how an operation begins, its states in order, and what each of them does."""
