"""Bundles: a project as one archive, read by its manifest, signed, kept in a registry. Nothing here runs anything."""
