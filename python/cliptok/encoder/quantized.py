"""`TextEncoder.quantize`: an encoder for `encode` alone, with linear layers in 8 bits. To be measured before use."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from cliptok.encoder.sharing.eight_bit import FLOAT8, INT8, EightBit, EightBitBlock
from cliptok.encoder.sharing.fingerprint import obstacle

if TYPE_CHECKING:
    from cliptok.tokenizer import Tokenizer

KINDS = {"int8": INT8, "fp8": FLOAT8}


class Agreement(NamedTuple):
    """How near embeddings in 8 bits are to the encoder's own, over some texts."""

    cosine_mean: float
    cosine_min: float
    nearest: float
    """The share of texts whose nearest other text is the same."""
    ten_nearest: float
    """The mean share of a text's ten nearest others that are the same; fewer where there are fewer texts."""


class QuantizedEncoder:
    """What `TextEncoder.quantize` returns: `encode`, `zero_shot`, `warm_up`, and `agreement` to see what it costs.

    A copy of the encoder as it was: what happens to the encoder's weights later on does not reach it. It can be neither
    called, trained, moved nor saved: for all that there is the encoder. It is there to be fast, and holds the float
    weights too. `encoder` is a `TextEncoder`.
    """

    def __init__(self, encoder: Any, kind: str) -> None:
        _check(encoder, kind)
        self.kind = kind
        """"int8" or "fp8"."""
        self._encoder: Any = copy.deepcopy(encoder).requires_grad_(False)
        for block in list(self._encoder.blocks())[1:-1]:
            a, mlp = block.self_attn, block.mlp
            linears = (a.q_proj, a.k_proj, a.v_proj, a.out_proj, mlp.fc1, mlp.fc2)
            block.eight_bit = EightBitBlock(*(EightBit.of(linear, KINDS[kind]) for linear in linears))

    @property
    def tokenizer(self) -> Tokenizer:
        """The encoder's own."""
        own: Tokenizer = self._encoder.tokenizer
        return own

    def encode(self, texts: Any, tokenizer: Any = None, *, cache: None = None, **kwargs: Any) -> Any:
        """As `TextEncoder.encode`. Raises ValueError for `cache`, whose embeddings are those of unrounded weights."""
        if cache is not None:
            raise ValueError("cache: an EmbeddingCache cannot tell 8 bits from the encoder's own; encode without it")
        return self._encoder.encode(texts, tokenizer, **kwargs)

    def zero_shot(
        self, class_names: Sequence[str], templates: Sequence[Any], tokenizer: Any = None, **kwargs: Any
    ) -> Tensor:
        """As `TextEncoder.zero_shot`."""
        if kwargs.get("cache") is not None:
            raise ValueError("cache: an EmbeddingCache cannot tell 8 bits from the encoder's own; encode without it")
        found: Tensor = self._encoder.zero_shot(class_names, templates, tokenizer, **kwargs)
        return found

    def warm_up(self, *, output: str | None = None, normalize: bool = False) -> int:
        """As `TextEncoder.warm_up`, of `encode` alone."""
        held: int = self._encoder.warm_up(output=output, normalize=normalize)
        return held

    def agreement(self, encoder: Any, texts: Sequence[str], tokenizer: Any = None) -> Agreement:
        """How near this is to `encoder`, over `texts`: cosines of embeddings, and whether retrieval finds the same.

        Take the encoder that was quantized, and a few thousand different texts of the kind that is to be searched:
        each is looked up among all others. Takes memory for (n, n) scores. Raises ValueError for fewer than two texts.
        """
        if len(texts) < 2:
            raise ValueError(
                f"texts has {len(texts)}; retrieval needs two at least, and some hundreds to mean anything"
            )
        exact, rounded = (
            torch.nn.functional.normalize(e.encode(texts, tokenizer).float(), dim=-1) for e in (encoder, self)
        )
        cosine = (exact * rounded).sum(-1)
        found = []
        count = min(10, len(texts) - 1)
        for embeddings in (exact, rounded):
            scores = embeddings @ embeddings.T
            found.append(scores.fill_diagonal_(-torch.inf).topk(count, dim=-1).indices)
        same = (found[0][:, :, None] == found[1][:, None, :]).any(-1).float().mean()
        first = (found[0][:, 0] == found[1][:, 0]).float().mean()
        return Agreement(float(cosine.mean()), float(cosine.min()), float(first), float(same))

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Raises TypeError: conditioning, hidden states and training are the encoder's."""
        raise TypeError("an encoder in 8 bits only encodes; call the encoder that it was made of")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"an encoder in 8 bits has no {name}, only encode, zero_shot, warm_up and agreement; take the encoder that"
            " it was made of, and quantize() it anew after changes"
        )


def _check(encoder: Any, kind: str) -> None:
    """Raises ValueError or RuntimeError where 8 bits would be wrong, slower, or impossible."""
    if kind not in KINDS:
        raise ValueError(f"kind is {kind!r}; expected int8 or fp8")
    if not encoder.config.causal or encoder.config.class_token:
        raise ValueError("quantize() is for towers whose texts share beginnings: causal ones without a class token")
    if (found := obstacle(encoder)) is not None:
        raise ValueError(f"quantize() cannot see {found}; merge adapters into the weights and remove hooks")
    if encoder.depth < 3:
        raise ValueError(f"the encoder has {encoder.depth} blocks; first and last are not rounded, so nothing would be")
    device, dtype = encoder.device, encoder.dtype
    if kind == "int8":
        if device.type != "cpu":
            raise ValueError(f"int8 on {device.type} would be slower than half precision; on CUDA take fp8")
        if dtype != torch.float32:
            raise ValueError(
                f"int8 is for float32, not {dtype}: with instructions for it, half precision needs no help"
            )
        if not _has_vnni():
            raise RuntimeError("int8 would be slower here: this CPU, or torch as it is set, has no AVX-512 VNNI")
        return
    if device.type != "cuda":
        raise ValueError(f"fp8 is for CUDA, not {device.type}" + ("; take int8" if device.type == "cpu" else ""))
    if torch.version.hip is not None or torch.cuda.get_device_capability(device) < (8, 9):
        raise RuntimeError(f"fp8 needs compute capability 8.9 (Ada, Hopper or later), which {device} does not have")
    if dtype not in (torch.float16, torch.bfloat16):
        raise ValueError(f"fp8 is for half precision, not {dtype}; use encoder.half() first")
    try:  # not only found: one whose own dependencies are missing would fail in the middle of a batch
        importlib.import_module("triton")
    except ImportError as error:
        raise RuntimeError(f"fp8 needs triton, which torch's builds for CUDA on Linux bring: {error}") from error
    if encoder.config.width % 16 or encoder.config.mlp % 16:
        raise ValueError("fp8 needs widths that are multiples of 16")


def _has_vnni() -> bool:
    supported = getattr(torch.cpu, "_is_vnni_supported", None)
    return supported is not None and supported() and torch.backends.cpu.get_cpu_capability() == "AVX512"
