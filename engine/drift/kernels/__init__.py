"""The few loops that numpy has no function for: arrays in, numbers out, compiled by numba at first use (`lazy`)."""
