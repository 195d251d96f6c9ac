"""Building what the project declares: datasets are verified, models trained, evaluation stores filled.

Each returns what it found and says whether anything had to be done: what nothing has changed is reused.
"""
