"""What a pipeline takes: tensors by diffusers' argument names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor


class Conditioning(Mapping[str, Tensor]):
    """A mapping to unpack into a pipeline, `pipe(**conditioning)`; the names are attributes too.

    `prompt_embeds` and `negative_prompt_embeds` (prompts, length, width), equally long; `pooled_prompt_embeds` and
    `negative_pooled_prompt_embeds` (prompts, width) where the model has them. What it lacks is no key and None as an
    attribute.
    """

    NAMES = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    """The keys that there may be."""

    prompt_embeds: Tensor | None
    """(prompts, length, width)"""
    negative_prompt_embeds: Tensor | None
    """(prompts, length, width)"""
    pooled_prompt_embeds: Tensor | None
    """(prompts, pooled width)"""
    negative_pooled_prompt_embeds: Tensor | None
    """(prompts, pooled width)"""

    def __init__(self, **tensors: Tensor | None) -> None:
        if unknown := set(tensors) - set(self.NAMES):
            raise TypeError(f"a conditioning has no {', '.join(sorted(unknown))}")
        for name in self.NAMES:
            setattr(self, name, tensors.get(name))

    def __getitem__(self, name: str) -> Tensor:
        value = getattr(self, name) if name in self.NAMES else None
        if value is None:
            raise KeyError(f"the conditioning has no {name!r}; it has {', '.join(self)}")
        assert isinstance(value, Tensor)
        return value

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.NAMES if getattr(self, name) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Conditioning:
        """The same on another device, in another dtype, or both."""
        return Conditioning(**{name: tensor.to(device, dtype) for name, tensor in self.items()})

    def __repr__(self) -> str:
        shapes = (f"{name}={tuple(tensor.shape)}" for name, tensor in self.items())
        return f"Conditioning({', '.join(shapes)})"
