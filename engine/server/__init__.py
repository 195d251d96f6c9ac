"""The HTTP server of `engine serve`: health, metrics, the API and the pages.

It calls the server's loop through `engine.service.control`, and reads the store. Nothing here loads a data library.
"""
