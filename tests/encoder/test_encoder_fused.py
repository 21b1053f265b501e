"""The Triton kernels: right where they are interpreted, compiled without spilling, and not run unless asked for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cliptok.encoder.sharing import triton_kernels

TESTS = Path(__file__).parents[1]


def test_interpreted_kernels_beside_float64():
    """In a process of its own: Triton reads the variable when it is imported. A few seconds of CPU time."""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "support.fused"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "all right" in done.stdout, done.stdout + done.stderr


def test_the_environment_asks_for_them(monkeypatch):
    monkeypatch.delenv("CLIPTOK_KERNELS", raising=False)
    assert not triton_kernels.wanted()
    monkeypatch.setenv("CLIPTOK_KERNELS", "Triton")
    with pytest.raises(ValueError, match="CLIPTOK_KERNELS is 'Triton'; expected torch or triton"):
        triton_kernels.wanted()
    monkeypatch.setenv("CLIPTOK_KERNELS", "triton")
    monkeypatch.setattr(triton_kernels.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="needs triton"):
        triton_kernels.wanted()


@pytest.mark.parametrize(
    ("sm", "dtype", "warps"), [(80, "fp16", 4), (90, "fp16", 4), (90, "fp32", 8), (100, "fp16", 4)]
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_attention_compiles_without_spilling(sm, dtype, warps, tmp_path):
    """To a cubin, by triton's own ptxas, whose report is read back. No device is needed."""
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from cliptok.encoder.sharing.triton_kernels.attention import BLOCK, trie_attention

    tool = next(Path(triton.__file__).parent.rglob("cuobjdump*"), None)
    if tool is None:
        pytest.skip("this triton has no cuobjdump to read registers with")
    constants = {"N": 16384, "SLOTS": 96, "CHUNK": 64, "HEADS": 12, "SIZE": 64, "D": 64, "BLOCK": BLOCK}
    constants["PRECISION"] = "ieee" if dtype == "fp32" else None
    signature = dict.fromkeys(("q_ptr", "k_ptr", "v_ptr", "out_ptr"), f"*{dtype}")
    signature |= dict.fromkeys(("number_ptr", "end_ptr", "ancestor_ptr"), "*i32") | {"scale": "fp32"}
    signature |= dict.fromkeys(constants, "constexpr")
    aligned = {(i,): [["tt.divisibility", 16]] for i in range(7)}
    source = ASTSource(fn=trie_attention, signature=signature, constexprs=constants, attrs=aligned)
    options = {"num_warps": warps, "num_stages": 2}
    kernel = triton.compile(source, target=GPUTarget("cuda", sm, 32), options=options)
    cubin = tmp_path / "cubin"
    cubin.write_bytes(kernel.asm["cubin"])
    usage = subprocess.run([tool, "-res-usage", cubin], capture_output=True, text=True, check=True).stdout
    registers, stack, local = (int(re.search(rf"{name}:(\d+)", usage)[1]) for name in ("REG", "STACK", "LOCAL"))
    assert stack == local == 0 and registers <= 200 and kernel.metadata.shared < 48 << 10, usage
