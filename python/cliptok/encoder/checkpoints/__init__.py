"""Checkpoint files of every layout: finding, recognising and reading them."""
