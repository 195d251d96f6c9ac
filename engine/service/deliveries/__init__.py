"""Messages that are sent while nobody looks: when a channel has its turn, and a heartbeat."""
