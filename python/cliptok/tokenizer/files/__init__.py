"""A tokenizer's folder: reading it and writing it."""
