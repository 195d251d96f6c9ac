"""Proofs that a revision of a deployment can run, made before it is used."""
