"""Input files of every kind as tables of texts."""
