"""Scenarios of a project: their steps, conditions, triggers and reporters, and the mistakes of their authors."""
