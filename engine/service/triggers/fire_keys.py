"""The keys of fires: what an occurrence is, so that it is recorded once. Their forms are never changed."""


def data_key(digest: str) -> str:
    """Return the key of a change of files."""
    return f"data:{digest}"


def query_key(digest: str) -> str:
    """Return the key of a change of a query's result."""
    return f"query:{digest}"
