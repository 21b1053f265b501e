"""Tests of the CUDA path that run on the recording runtime alone; `tests/encoder/test_encoder_recorded.py` starts them.

By hand: FAKE_SM=80 FAKE_DEVICES=2 ../shared/tools/fakecuda/run .venv/bin/python -m pytest tests/recorded -m any
"""

from __future__ import annotations

import pytest

from support import recording

if not recording.active():
    collect_ignore_glob = ["test_*.py"]
else:
    import torch

    from cliptok import Tokenizer
    from cliptok.encoder import TextConfig, TextEncoder

    SMALL = {"width": 64, "layers": 2, "heads": 1, "mlp": 256, "projection": 48}

    def pytest_collection_modifyitems(items):
        """A test without a mark runs on any kind of GPU."""
        for item in items:
            if item.get_closest_marker("sm_90") is None:
                item.add_marker("any")

    @pytest.fixture(autouse=True, scope="session")
    def kernels():
        """torch's kernels, whose launches are written down; a trial of the fused ones fails where nothing computes."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CLIPTOK_KERNELS", "torch")
            yield

    @pytest.fixture(scope="session")
    def tokenizer():
        return Tokenizer()

    @pytest.fixture
    def make():
        """A function that makes small encoders, half precision on cuda:0 unless it is told otherwise."""

        def make(device="cuda:0", dtype=torch.float16, **changes):
            return TextEncoder(TextConfig(**{**SMALL, **changes}), device=device, dtype=dtype).eval()

        return make

    @pytest.fixture
    def encoder(make):
        return make()
