"""The encoder's examples, in small."""

from __future__ import annotations

import importlib.util
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def example(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_walkthrough(capsys):
    found = example("encoder_walkthrough").main(small=True)
    assert found["outputs"].last_hidden_state.shape == (2, 11, 64) and found["ends"] == [6, 10]
    for masked in (True, False):
        assert found[f"pooled {masked}"] < 1e-5
        assert all(found[f"until {masked} {row}"] < 1e-5 for row in (0, 1))
    for row in (0, 1):
        assert found[f"mask until {row}"] < 1e-5 < 1e-3 < found[f"mask after {row}"]
    printed = capsys.readouterr().out
    assert "Embedding(49408, 64)" in printed and "Embedding(77, 64)" in printed


def test_sd2_sizes_print_as_documented():
    import torch

    from cliptok.encoder import TextEncoder

    with torch.device("meta"):
        printed = str(TextEncoder("SD2"))
    assert "Embedding(49408, 1024)" in printed and "Embedding(77, 1024)" in printed and "(0-22): 23 x" in printed
