"""`TextEncoder`: the text tower of CLIP with what people do with it: load, save, encode texts, add tokens."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cliptok.encoder import textual_inversion
from cliptok.encoder.checkpoints import loading
from cliptok.encoder.encode import encode, warm_up
from cliptok.encoder.model import TextModel
from cliptok.encoder.own_tokenizer import OwnTokenizer, contradiction
from cliptok.encoder.sharing import graphs
from cliptok.encoder.zero_shot import zero_shot
from cliptok.tokenizer import Tokenizer


class TextEncoder(TextModel):
    """A CLIP text encoder with random weights of CLIP's own initialisation; `from_pretrained` loads weights.

    Takes a `TextConfig` or the name of a preset, such as "ViT-L-14".
    """

    _own: OwnTokenizer | Tokenizer = OwnTokenizer()

    def _apply(self, fn: Any, recurse: bool = True) -> TextEncoder:
        """What `to`, `half` and their like do. Graphs read weights where they were, and hold memory of the device."""
        graphs.release(self)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    # -- files

    @classmethod
    def from_pretrained(cls, source: str | os.PathLike[str] | Mapping[str, torch.Tensor], **kwargs: Any) -> TextEncoder:
        """Load any published layout from a folder, a file or a hub name; arguments as in `loading.load`."""
        encoder, own = loading.load(cls, source, **kwargs)
        encoder._own = own
        return encoder

    def save_pretrained(
        self, folder: str | os.PathLike[str], *, variant: str | None = None, safe_serialization: bool = True
    ) -> None:
        """Write `config.json` and safetensors that transformers and diffusers load; see `loading.save`."""
        loading.save(self, folder, variant=variant, safe_serialization=safe_serialization)

    # -- texts

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer that this encoder was trained with: from its folder, or of its layout; made when first read.

        Raises ValueError where the vocabulary is not CLIP's and the checkpoint has no tokenizer. Can be set.
        """
        if not isinstance(self._own, Tokenizer):
            self._own = self._own.make(self.config)
        return self._own

    @tokenizer.setter
    def tokenizer(self, value: Tokenizer) -> None:
        self._own = value

    def encode(self, texts: str | Sequence[str] | Iterable[str], tokenizer: Any = None, **kwargs: Any) -> Any:
        """Embeddings (n, d) of texts in input order, nothing computed twice; arguments as in `encode.encode`.

        `tokenizer` defaults to this encoder's own. Towers that attend in both directions, and layers that are more than
        their weights (hooks, adapters that are not merged, offloaded weights), go through the forward pass.
        """
        return encode(self, texts, self._chosen(texts, tokenizer), **kwargs)

    def warm_up(self, **kwargs: Any) -> int:
        """Capture this encoder's CUDA graphs before they are needed; arguments as in `encode.warm_up`."""
        return warm_up(self, **kwargs)

    def zero_shot(
        self, class_names: Sequence[str], templates: Sequence[Any], tokenizer: Any = None, **kwargs: Any
    ) -> Tensor:
        """The (classes, d) matrix of zero-shot classification; arguments as in `zero_shot.zero_shot`."""
        return zero_shot(self, class_names, templates, self._chosen(class_names, tokenizer), **kwargs)

    # -- tokens

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens (vocabulary, width)."""
        return self.embeddings.token_embedding

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Take another table of tokens (any number, width)."""
        self.embeddings.token_embedding = value
        self.config.vocabulary = value.num_embeddings

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """Grow or cut the token table; arguments as in `textual_inversion.resize_token_embeddings`."""
        return textual_inversion.resize_token_embeddings(self, new_num_tokens, pad_to_multiple_of, mean_resizing)

    def load_textual_inversion(
        self, source: Any, tokenizer: Any, token: str | None = None, **kwargs: Any
    ) -> textual_inversion.TextualInversion:
        """Add an embedding file's vectors to this encoder and its placeholder to `tokenizer`; see
        `textual_inversion.load`.
        """
        return textual_inversion.load(self, source, tokenizer, token, **kwargs)

    # -- training, by transformers' names

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: Mapping[str, Any] | None = None) -> None:
        """Compute each block anew in the backward pass of training, which saves memory. Never reentrant."""
        if gradient_checkpointing_kwargs and dict(gradient_checkpointing_kwargs) != {"use_reentrant": False}:
            raise ValueError("gradient_checkpointing_kwargs: only use_reentrant=False is supported")
        self.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep all activations."""
        self.gradient_checkpointing = False

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether blocks are computed anew in the backward pass."""
        return self.gradient_checkpointing

    def _chosen(self, texts: Any, tokenizer: Any) -> Any:
        """The given tokenizer, with a warning where it contradicts the checkpoint, or this encoder's own."""
        if hasattr(texts, "offsets"):
            return tokenizer
        if tokenizer is None:
            return self.tokenizer
        if isinstance(self._own, Tokenizer) or self._own.known:
            differs = contradiction(self.tokenizer, tokenizer)
            if differs is not None:
                warnings.warn(f"tokenizer: {differs}. Leave it out to use the encoder's", UserWarning, stacklevel=3)
        return tokenizer
