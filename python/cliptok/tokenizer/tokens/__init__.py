"""The vocabulary's tokens, the added ones, and those with a role."""
