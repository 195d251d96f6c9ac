"""Computes which runs are due by the triggers of a spec, and which of them to start.

All functions are pure: they get the project, the states of its triggers and the time as arguments, and read no file,
database or clock. Moments are compared in UTC, because Python compares two datetimes of the same time zone by their
local times, which is wrong in the night when clocks are set back.
"""
