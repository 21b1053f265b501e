"""What the tests of batch jobs share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small encoder with a projection."""
    import torch

    from cliptok.encoder import TextConfig, TextEncoder

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    TextEncoder(TextConfig(width=64, layers=2, heads=4, mlp=128, projection=32)).save_pretrained(folder)
    return folder
