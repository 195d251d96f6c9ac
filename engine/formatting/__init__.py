"""Values as text for people: numbers, lists, moments, hints for misspelt names, control characters, colours."""
