"""Bundles: a project as one archive with a manifest and signatures, stored in a registry. No code of it is run here."""
