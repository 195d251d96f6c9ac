"""Moments as part of a sentence."""

from datetime import UTC, datetime


def format_minute(moment: datetime) -> str:
    """Return an aware datetime in UTC, without seconds: `2026-10-25 01:30 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def format_second(moment: datetime) -> str:
    """Return an aware datetime in UTC: `2026-10-25 01:30:15 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
