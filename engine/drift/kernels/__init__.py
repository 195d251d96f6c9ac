"""Loops for which numpy has no function, from arrays to arrays or numbers; numba compiles them lazily (`lazy`)."""
