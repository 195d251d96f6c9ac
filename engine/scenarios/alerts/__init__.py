"""The messages of a run: facts are collected from its result, messages are composed, and the outbox is delivered."""
