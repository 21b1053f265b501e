"""Prefix sharing: tokens that many texts begin with are computed once."""
