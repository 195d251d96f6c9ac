"""How values become text for people: numbers, lists, hints for misspelt names, control characters, colours."""
