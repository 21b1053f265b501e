"""Whether a tower is still what it was, and plain enough for code that reads its weights without calling its layers."""

from __future__ import annotations

import hashlib
import itertools
import operator
import weakref
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module

from cliptok.encoder.model import MLP, Attention, Block, Blocks, TextEmbeddings, TextModel, TextTower

_PARTS = (
    nn.Linear,
    nn.LayerNorm,
    nn.Embedding,
    nn.ModuleList,
    TextTower,
    TextEmbeddings,
    Attention,
    MLP,
    Block,
    Blocks,
)


def obstacle(tower: TextModel) -> str | None:
    """What in the tower is more than its weights: a wrapped layer, a hook, a forward method set on an instance.

    A CUDA graph would freeze it and `encode` would pass it over. None for a plain tower. Hooks of the tower itself do
    not count: they run around the whole. Layers that differ from one another in more than their weights count too.
    """
    for name, part in tower.named_modules():
        if part is not tower and type(part) not in _PARTS:
            return f"what {type(part).__module__}.{type(part).__name__} does at {name}"
        if part is not tower and _has_hooks(part):
            return f"the hooks at {name}"
        if (kind := _unusual(part, tower)) is not None:
            return f"{kind} at {name}"
        for weight in part._parameters.values():
            if weight is not None and type(weight) not in (nn.Parameter, Tensor):
                return f"what {type(weight).__name__} does at {name}"
    if _global_hooks():
        return "the hooks that are registered for all modules"
    return None


def _unusual(part: nn.Module, tower: TextModel) -> str | None:
    """What of a layer's options is not the tower's: no bias, another number of heads, ..."""
    config = tower.config
    if isinstance(part, nn.Linear) and (part.bias is None) != (part is tower.text_projection):
        return "a linear layer with a bias of its own" if part.bias is not None else "a linear layer without bias"
    if isinstance(part, nn.LayerNorm) and (
        part.weight is None or part.bias is None or part.eps != config.layer_norm_eps
    ):
        return f"{part}"
    if isinstance(part, nn.Embedding) and part.max_norm is not None:
        return f"{part}"
    if isinstance(part, Attention) and (part.heads != config.heads or part.causal != config.causal):
        return f"attention with {part.heads} heads{' that is causal' if part.causal else ''}"
    if isinstance(part, Blocks) and not len(part.layers):
        return "no blocks"
    return None


def _has_hooks(part: nn.Module) -> bool:
    return bool(part._forward_hooks or part._forward_pre_hooks or "forward" in part.__dict__)


class Fingerprint:
    """A tower's modules and parameters as they are now, to be compared with what they are later.

    Comparing takes some 50 us for twelve layers, so that every call can do it.
    """

    def __init__(self, tower: TextModel) -> None:
        parts = list(tower.modules())
        # The dictionaries, not the modules: a tower that is kept alive here would never let its graphs go.
        self._places: list[dict[str, object]] = [
            cast("dict[str, object]", values) for part in parts for values in (part._modules, part._parameters)
        ]
        self._values = self._current()
        self._attributes = [
            (part.__dict__, name, part.__dict__[name])
            for part in parts
            for name in ("activation", "heads", "causal", "eps")
            if name in part.__dict__
        ]
        self._tensors = list(tower.parameters())
        # Aliases: while they live, no other tensor can lie where the parameters lay.
        self._aliases = [tensor.detach() for tensor in self._tensors]
        self._hooks = [hooks for part in parts[1:] for hooks in (part._forward_hooks, part._forward_pre_hooks)]
        self._own = [part.__dict__ for part in parts[1:]]
        self.obstacle = obstacle(tower)

    def _current(self) -> list[object]:
        return list(itertools.chain.from_iterable(map(dict.values, self._places)))

    def matches(self, tower: TextModel) -> bool:
        """Whether `tower` still has these layers and tensors at these places, and nothing more that runs."""
        current = self._current()
        if len(current) != len(self._values) or not all(map(operator.is_, current, self._values)):
            return False
        if any(values.get(name) is not value for values, name, value in self._attributes):
            return False
        try:
            same = all(map(Tensor.is_set_to, self._tensors, self._aliases))
        except RuntimeError:  # on different devices
            return False
        own = any(map(operator.contains, self._own, itertools.repeat("forward")))
        hooked = own or any(self._hooks) or _global_hooks()
        if same and (hooked or self.obstacle is not None):
            return obstacle(tower) == self.obstacle
        return same


def weights_state(tower: TextModel) -> int:
    """Changes when weights move, change their dtype or are written to, as merging a LoRA does. Takes a millisecond."""
    parameters = list(tower.parameters())
    known = tuple((p.data_ptr(), p.dtype, p._version) for p in parameters)
    # What writes through `.data`, as merging adapters does, counts no version: some values of each tensor tell, and of
    # the token table, of which textual inversion writes single rows, one value in each row.
    values = [p.detach().flatten()[:: max(p.numel() // 4, 1)][:4] for p in parameters]
    values.append(tower.embeddings.token_embedding.weight.detach()[:, 0])
    return hash((known, torch.cat([v.float() for v in values]).cpu().numpy().tobytes()))


def weights_digest(tower: TextModel, most: int | None = None) -> str:
    """The SHA-256, in hexadecimal, of the configuration and of each weight, or of the first `most` bytes of each."""
    found = hashlib.sha256(repr(tower.config).encode())
    for name, weight in tower.state_dict().items():
        flat = weight.detach().flatten()
        if most is not None:
            flat = flat[: most // weight.element_size()]
        found.update(f"{name} {tuple(weight.shape)} {weight.dtype}".encode())
        found.update(flat.contiguous().cpu().view(torch.uint8).numpy())
    return found.hexdigest()


_digests: weakref.WeakKeyDictionary[TextModel, tuple[int, str]] = weakref.WeakKeyDictionary()


def current_digest(tower: TextModel) -> str:
    """`weights_digest` of all weights, computed anew only where `weights_state` or the configuration has changed."""
    state = hash((weights_state(tower), repr(tower.config)))
    known = _digests.get(tower)
    if known is None or known[0] != state:
        known = _digests[tower] = state, weights_digest(tower)
    return known[1]


def _global_hooks() -> bool:
    return bool(torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks)
