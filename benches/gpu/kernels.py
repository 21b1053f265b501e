"""Every kernel of the CUDA path beside float64, on a real batch of captions, with outputs poisoned first."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from settings import DEVICE, Settings, check, relative
from towers import captions

from cliptok import Tokenizer
from cliptok.encoder import TextConfig, TextEncoder
from cliptok.encoder.dot_product import attention
from cliptok.encoder.sharing.attention import NodeBatch, attend
from cliptok.encoder.sharing.execution import CANONICAL, CUDA
from cliptok.encoder.sharing.linear_layers import Affine, Workspace, linear
from cliptok.encoder.sharing.nodes import norm
from cliptok.encoder.sharing.plan import CanonicalSize, Window, build_canonical

HEADS, WIDTH, SLOTS = 12, 768, 96
# Largest difference over largest magnitude.
LIMITS = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}


@torch.inference_mode()
def run(settings: Settings) -> Iterator[dict[str, Any]]:
    texts = captions(settings)
    for dtype, limit in LIMITS.items():
        kernels = {
            "attention over nodes": lambda dtype: nodes_error(dtype, texts, settings.exact),
            "causal attention": lambda dtype: _causal(dtype, settings.exact),
            "linear, silu": lambda dtype: _linear("silu", dtype, settings.exact),
            "linear, gelu": lambda dtype: _linear("gelu", dtype, settings.exact),
            "LayerNorm": lambda dtype: _norm(dtype, settings.exact),
        }
        for name, kernel in kernels.items():
            error = check(kernel(dtype), limit, f"{name} in {dtype}", settings)
            yield {"what": name, "dtype": str(dtype).removeprefix("torch."), "error": error}
    yield from canonical(texts, settings)


def canonical(texts: list[str], settings: Settings) -> Iterator[dict[str, Any]]:
    """`encode` in every canonical size, plainly, captured and replayed, beside the CPU in float32."""
    tokenizer, config = Tokenizer(), TextConfig.preset("ViT-B-32", **(settings.sizes or {"layers": 2}))
    torch.manual_seed(0)
    reference = TextEncoder(config).eval()
    count = settings.some(4000, 100)
    expected = reference.encode(texts[:count], tokenizer)
    encoder = copy.deepcopy(reference).to(DEVICE, torch.float16)
    for size in CANONICAL[: settings.some(len(CANONICAL), 2)]:
        worst = 0.0
        for _ in range(3):
            found = encoder.encode(texts[:count], tokenizer, budget=size.nodes)
            worst = max(worst, check(relative(found, expected.to(DEVICE)), 1e-2, f"encode at {size}", settings))
        yield {"what": "encode", "nodes": size.nodes, "eos": size.eos, "error": worst}


def batch_of(
    texts: list[str],
    dtype: torch.dtype,
    heads: int = HEADS,
    size: CanonicalSize = CANONICAL[3],
    fused: bool = False,
) -> NodeBatch:
    """A canonical batch of the texts' first tokens on the device."""
    packed = Tokenizer().encode_packed(sorted(texts[:2000]), max_length=77, dtype="int32")
    window = Window(packed.input_ids, packed.offsets, 49407, 77, 49408, 0)
    start, stop, _ = window.split_canonical([size])[0]
    batch = build_canonical(window, start, stop, size, CUDA.chunk, SLOTS)
    return NodeBatch.unpack(batch.packed.to(DEVICE), batch.shape, heads, dtype, fused)


def _random(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(*shape, device=DEVICE, dtype=torch.float32).to(dtype)


def nodes_error(
    dtype: torch.dtype, texts: list[str], precise: torch.dtype = torch.float64, fused: bool = False
) -> float:
    """Of attention over a batch's nodes, by torch's kernel or the fused one."""
    batch = batch_of(texts, dtype)
    (group,) = batch.groups
    nodes = group.chunks * batch.chunk
    q, k, v = (_random(nodes, WIDTH, dtype=dtype) for _ in range(3))
    work = Workspace()
    work.take("attention", nodes, WIDTH, q).fill_(torch.nan)
    found = attend(q, k, v, batch_of(texts, dtype, fused=True) if fused else batch, work)
    exact = torch.empty(nodes, WIDTH, dtype=precise, device=DEVICE)
    for chunk in range(group.chunks):
        rows = slice(chunk * batch.chunk, (chunk + 1) * batch.chunk)
        keys = group.keys.view(group.chunks, -1)[chunk]
        heads = (t.to(precise).view(-1, HEADS, WIDTH // HEADS).transpose(0, 1) for t in (q[rows], k[keys], v[keys]))
        mask = group.mask[chunk] == 0
        exact[rows] = F.scaled_dot_product_attention(*heads, attn_mask=mask).transpose(0, 1).flatten(1)
    return relative(found, exact)


def _causal(dtype: torch.dtype, precise: torch.dtype) -> float:
    q, k, v = (_random(5, HEADS, 77, WIDTH // HEADS, dtype=dtype) for _ in range(3))
    exact = F.scaled_dot_product_attention(q.to(precise), k.to(precise), v.to(precise), is_causal=True)
    return relative(attention(q, k, v, None, causal=True), exact)


def _linear(activation: str, dtype: torch.dtype, precise: torch.dtype) -> float:
    functions: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"silu": F.silu, "gelu": F.gelu}
    x, weight, bias = (_random(*shape, dtype=dtype) for shape in ((333, WIDTH), (4 * WIDTH, WIDTH), (4 * WIDTH,)))
    weight = weight * WIDTH**-0.5
    exact = functions[activation](F.linear(1.702 * x.to(precise), weight.to(precise), 1.702 * bias.to(precise)))
    work = Workspace()
    work.take("mlp", len(x), len(weight), x).fill_(torch.nan)
    precision = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        return relative(linear(x, Affine(weight, bias), work, "mlp", activation, 1.702, 1.702), exact)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = precision


def _norm(dtype: torch.dtype, precise: torch.dtype) -> float:
    x, weight, bias = (_random(*shape, dtype=dtype) for shape in ((333, WIDTH), (WIDTH,), (WIDTH,)))
    x += 5
    exact = F.layer_norm(x.to(precise), (WIDTH,), weight.to(precise), bias.to(precise), 1e-5)
    return relative(norm(x, Affine(weight, bias), 1e-5), exact)
