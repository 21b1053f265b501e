"""The Triton kernels: right where they are interpreted, compiled without spilling, and run where a trial went well."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cliptok.encoder import TextConfig, quantized
from cliptok.encoder.sharing import triton_kernels

TESTS = Path(__file__).parents[1]


def test_interpreted_kernels_beside_float64():
    """In a process of its own: Triton reads the variable when it is imported. A few seconds of CPU time."""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "support.fused"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "all right" in done.stdout, done.stdout + done.stderr


def test_the_environment_decides(monkeypatch, small):
    monkeypatch.delenv("CLIPTOK_KERNELS", raising=False)
    assert not triton_kernels.chosen(small)  # on the CPU
    monkeypatch.setenv("CLIPTOK_KERNELS", "Triton")
    with pytest.raises(ValueError, match="CLIPTOK_KERNELS is 'Triton'; expected torch or triton"):
        triton_kernels.chosen(small)


@pytest.fixture
def on_cuda(monkeypatch):
    """What `chosen` sees of an encoder on a GPU of compute capability 9.0."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.delenv("CLIPTOK_KERNELS", raising=False)
    triton_kernels._right.cache_clear()
    yield lambda dtype: SimpleNamespace(
        device=torch.device("cuda:0"), dtype=dtype, config=TextConfig.preset("ViT-L-14")
    )
    triton_kernels._right.cache_clear()


def test_a_trial_decides_on_a_gpu(on_cuda, monkeypatch):
    """Right: they run. Wrong or failing: torch's run, with one warning that says why."""
    pytest.importorskip("triton")
    from cliptok.encoder.sharing.triton_kernels import trial

    given = {}
    monkeypatch.setattr(trial, "differences", lambda device, dtype, sizes: given)
    for found, warned in ((1e-4, None), (0.1, "differ"), (math.nan, "nan")):
        triton_kernels._right.cache_clear()
        given.clear()
        given["attention"] = found
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert [triton_kernels.chosen(on_cuda(torch.float16)) for _ in range(2)] == [warned is None] * 2
        assert len(caught) == (warned is not None) and all(warned in str(w.message) for w in caught)
    assert not triton_kernels.chosen(on_cuda(torch.float32))
    triton_kernels._right.cache_clear()
    monkeypatch.setattr(trial, "differences", lambda *_: (_ for _ in ()).throw(RuntimeError("no C compiler")))
    with pytest.warns(RuntimeWarning, match="RuntimeError: no C compiler.*CLIPTOK_KERNELS=torch"):
        assert not triton_kernels.chosen(on_cuda(torch.bfloat16))
    monkeypatch.setenv("CLIPTOK_KERNELS", "torch")
    assert not triton_kernels.chosen(on_cuda(torch.float16))
    monkeypatch.setenv("CLIPTOK_KERNELS", "triton")
    assert triton_kernels.chosen(on_cuda(torch.float16)) and not triton_kernels.chosen(on_cuda(torch.float32))


def test_without_triton(on_cuda, monkeypatch):
    monkeypatch.setattr(triton_kernels.importlib.util, "find_spec", lambda name: None)
    assert not triton_kernels.chosen(on_cuda(torch.float16))
    monkeypatch.setenv("CLIPTOK_KERNELS", "triton")
    with pytest.raises(ImportError, match="needs triton"):
        triton_kernels.chosen(on_cuda(torch.float16))


def test_a_triton_that_does_not_import(on_cuda, monkeypatch, tmp_path):
    """As torch 2.4's without setuptools: torch's operations run, with a warning; fp8 is refused before any batch."""
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton" / "__init__.py").write_text("import a_library_that_triton_needs\n")
    for name in list(sys.modules):
        if name.partition(".")[0] == "triton" or name.startswith(f"{triton_kernels.__name__}."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    encoder = on_cuda(torch.float16)
    with pytest.warns(RuntimeWarning, match="No module named 'a_library_that_triton_needs'.*torch's are used"):
        assert not triton_kernels.chosen(encoder)
    encoder.depth = encoder.config.layers
    monkeypatch.setattr(quantized, "obstacle", lambda encoder: None)
    with pytest.raises(RuntimeError, match=r"fp8 needs triton.* No module named 'a_library_that_triton_needs'"):
        quantized._check(encoder, "fp8")


def resources(kernel, sm, constants, pointers, numbers, options, folder):
    """Registers and bytes of shared memory of a kernel compiled to a cubin; no spill, which triton's ptxas reports."""
    triton = pytest.importorskip("triton")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    tool = next(Path(triton.__file__).parent.rglob("cuobjdump*"), None)
    if tool is None:
        pytest.skip("this triton has no cuobjdump to read registers with")
    types = {**pointers, **numbers, **dict.fromkeys(constants, "constexpr")}
    signature = {name: types[name] for name in kernel.arg_names}
    aligned = {(kernel.arg_names.index(name),): [["tt.divisibility", 16]] for name in pointers}
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=aligned)
    compiled = triton.compile(source, target=GPUTarget("cuda", sm, 32), options=options)
    cubin = folder / "cubin"
    cubin.write_bytes(compiled.asm["cubin"])
    usage = subprocess.run([tool, "-res-usage", cubin], capture_output=True, text=True, check=True).stdout
    registers, stack, local = (int(re.search(rf"{name}:(\d+)", usage)[1]) for name in ("REG", "STACK", "LOCAL"))
    assert stack == local == 0, usage
    return registers, compiled.metadata.shared


@pytest.mark.parametrize(("sm", "size"), [(80, 64), (80, 80), (90, 64), (100, 64)])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_attention_compiles_without_spilling(sm, size, tmp_path):
    """To a cubin, by triton's own ptxas. No device is needed."""
    pytest.importorskip("triton")
    from cliptok.encoder.sharing.triton_kernels.attention import BLOCK, trie_attention, warps

    constants = {"SLOTS": 96, "CHUNK": 64, "HEADS": 12, "SIZE": size, "D": 64 if size == 64 else 128}
    constants |= {"PADDED_SLOTS": 128, "BLOCK": BLOCK}
    pointers = dict.fromkeys(("q_ptr", "k_ptr", "v_ptr", "out_ptr"), "*fp16")
    pointers |= dict.fromkeys(("number_ptr", "end_ptr", "ancestor_ptr"), "*i32")
    options = {"num_warps": warps(size), "num_stages": 2}
    registers, shared = resources(
        trie_attention, sm, constants, pointers, {"scale": "fp32", "N": "i32"}, options, tmp_path
    )
    assert registers <= 255 and shared <= 99 << 10  # what the smallest of these GPUs has


@pytest.mark.parametrize(("sm", "quick"), [(80, False), (90, True), (90, False), (100, False)])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_linear_with_activation_compiles_without_spilling(sm, quick, tmp_path):
    pytest.importorskip("triton")
    from cliptok.encoder.sharing.triton_kernels.linear import OPTIONS, TILE, linear_activation

    constants = {"N": 3072, "K": 768, "QUICK_GELU": quick, **TILE}
    pointers = dict.fromkeys(("x_ptr", "weight_ptr", "bias_ptr", "out_ptr"), "*fp16")
    registers, shared = resources(linear_activation, sm, constants, pointers, {"M": "i32"}, OPTIONS, tmp_path)
    assert registers <= 255 and shared <= 99 << 10
