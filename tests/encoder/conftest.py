"""Fixtures of the encoder's tests."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from towers import FAMILIES, hf_model  # noqa: E402

from cliptok.encoder import TextConfig, TextEncoder  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "cuda: needs a CUDA GPU")


@pytest.fixture(params=FAMILIES, scope="session")
def family(request):
    return TextConfig(**FAMILIES[request.param])


@pytest.fixture(scope="session")
def tokenizer():
    from cliptok import Tokenizer

    return Tokenizer()


@pytest.fixture(scope="session")
def small():
    """A small encoder with a projection, weights large enough that a wrong position shows."""
    config = TextConfig(**FAMILIES["ViT-B"])
    return TextEncoder.from_pretrained(dict(hf_model(config).state_dict()), heads=config.heads)
