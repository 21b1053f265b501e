"""What torch says of memory that is full becomes a line that says what needs less. (`tests/recorded` fills a GPU.)"""

from __future__ import annotations

import pytest

from cliptok import cli
from cliptok.cli import main

SAID = {
    "the system": (MemoryError(), "MemoryError"),
    "torch's allocator": (
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB. If reserved memory is large, set it."),
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
    ),
    "the driver": (
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later."),
        "CUDA error: out of memory",
    ),
    "a CPU": (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.",
    ),
}


@pytest.mark.parametrize("who", SAID)
def test_one_line(who, monkeypatch, capsys, tmp_path):
    error, reason = SAID[who]

    def fail(*_, **__):
        raise error

    (tmp_path / "a.txt").write_text("a cat\n")
    monkeypatch.setattr(cli.texts, "load", fail)
    assert main(["count", str(tmp_path / "a.txt")]) == 2
    remedy = "a smaller --batch-size or fewer --processes need less, and a job goes on with --resume"
    assert capsys.readouterr().err == f"cliptok: out of memory: {reason}; {remedy}\n"
