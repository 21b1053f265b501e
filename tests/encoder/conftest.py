"""Fixtures of the encoder's tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch

from cliptok.encoder import TextConfig, TextEncoder
from support.towers import FAMILIES, hf_model


def pytest_collection_modifyitems(items):
    """The peers' own code warns of what is no concern of ours."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            for kind in ("DeprecationWarning", "FutureWarning", "torch.jit.TracerWarning"):
                item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Towers this small are slower in several threads, on a busy machine many times so."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
    return TextEncoder.from_pretrained(
        dict(hf_model(config).state_dict()), heads=config.heads, activation=config.activation
    )
