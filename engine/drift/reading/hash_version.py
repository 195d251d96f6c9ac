"""The version of the hashes of values and rows; hashes of different versions are never compared.

It is a separate module because fingerprints include it, which are computed without importing the hash functions.
"""

HASH_VERSION = "engine 1"
