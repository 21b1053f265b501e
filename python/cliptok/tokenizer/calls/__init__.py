"""`tok(...)`: from texts and options to encodings, and from ids back to text."""
