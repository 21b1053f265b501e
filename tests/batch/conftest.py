"""What the tests of batch jobs share."""

import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="session")
def ray() -> Iterator[Any]:
    """Ray with two workers on this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own.
        import ray
        import ray.data

        small = {"num_cpus": 2, "object_store_memory": 80_000_000, "include_dashboard": False}
        # Its store goes on to a disk that others have filled.
        full = {"local_fs_capacity_threshold": 0.999}
        ray.init("local", log_to_driver=False, logging_level=logging.ERROR, _system_config=full, **small)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray
        ray.shutdown()
