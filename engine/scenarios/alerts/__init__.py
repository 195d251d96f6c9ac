"""The messages of a run: its result becomes the facts for its reporters, and the outbox is delivered."""
