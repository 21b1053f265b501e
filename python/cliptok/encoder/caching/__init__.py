"""Embeddings kept on disk, so that `encode` computes none twice."""
