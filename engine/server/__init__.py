"""The HTTP side of `engine serve`: health, metrics, and what people and programs ask of a running server.

It asks the loop through `engine.service.control`, and reads the store. Nothing here loads a data library.
"""
