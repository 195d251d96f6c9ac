"""The delivery of messages by a server, and its heartbeat."""
