"""Prompts to the conditioning of Stable Diffusion pipelines."""
