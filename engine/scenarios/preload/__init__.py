"""Proofs that a revision of a deployment can run, made before the revision is activated."""
