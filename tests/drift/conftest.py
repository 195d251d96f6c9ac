"""The machine may be busy with other things: examples are judged by what they show, not by how long they take."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None, max_examples=60)
settings.load_profile("unhurried")
