"""The reference of the language, which is made from its code: JSON Schemas, and a page with a guide."""
