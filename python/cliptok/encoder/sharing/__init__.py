"""Batches whose texts share the work of their common beginnings."""
