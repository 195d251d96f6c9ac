"""The version of the hashes of values and rows: those of different versions are never compared.

It is a part of fingerprints, which are computed where nothing is hashed.
"""

HASH_VERSION = "engine 1"
