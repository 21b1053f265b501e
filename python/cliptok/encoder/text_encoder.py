"""`TextEncoder`: the text tower of CLIP with what people do with it: load, save, encode texts, add tokens."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Tensor, nn

from cliptok._common.warning import warn_caller
from cliptok.encoder import textual_inversion
from cliptok.encoder.checkpoints import loading
from cliptok.encoder.encode import encode, warm_up
from cliptok.encoder.model import TextModel, TextTower
from cliptok.encoder.own_tokenizer import OwnTokenizer, contradiction
from cliptok.encoder.quantized import QuantizedEncoder
from cliptok.encoder.sharing import graphs
from cliptok.encoder.transformers_class import class_for, models_are_imported
from cliptok.encoder.zero_shot import zero_shot
from cliptok.tokenizer import Tokenizer

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from cliptok.encoder.annotations import EncodeOptions


class TextEncoder(TextModel):
    """A CLIP text encoder with random weights of CLIP's own initialisation; `from_pretrained` loads weights.

    Takes a `TextConfig` or the name of a preset, such as "ViT-L-14". Where transformers' models are imported, an
    encoder is an instance of transformers' class for its checkpoint too: see `as_transformers`.
    """

    _own: OwnTokenizer | Tokenizer = OwnTokenizer()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if models_are_imported():
            self.as_transformers()

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

    @overload
    def encode(self, texts: str | Sequence[str], tokenizer: Any = ..., **kwargs: Unpack[EncodeOptions]) -> Tensor: ...
    @overload
    def encode(
        self, texts: Iterator[str], tokenizer: Any = ..., **kwargs: Unpack[EncodeOptions]
    ) -> Iterator[Tensor]: ...
    @overload
    def encode(self, texts: Any, tokenizer: Any = ..., **kwargs: Unpack[EncodeOptions]) -> Any: ...
    def encode(self, texts: Any, tokenizer: Any = None, **kwargs: Any) -> Any:
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

    def quantize(self, kind: str) -> QuantizedEncoder:
        """A faster encoder for `encode` alone, whose linear layers but those of the first and last block are in 8 bits.

        `kind` is "int8", for float32 on CPUs with AVX-512 VNNI, or "fp8", for half precision on GPUs of compute
        capability 8.9 and later. What it costs depends on the weights: measure it with the result's `agreement`. This
        encoder stays as it is. Raises ValueError or RuntimeError where it would be wrong or slower, and says why.
        """
        return QuantizedEncoder(self, kind)

    # -- tokens

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens (vocabulary, width)."""
        return self.embeddings.token_embedding

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Take another table of tokens (any number, width). Raises TypeError or ValueError for anything else."""
        if not isinstance(value, nn.Embedding):
            raise TypeError(f"value is of type {type(value).__name__}; expected a torch.nn.Embedding")
        if value.embedding_dim != self.config.width:
            raise ValueError(f"value has vectors of width {value.embedding_dim}, the encoder has {self.config.width}")
        self.embeddings.token_embedding = value
        self.config.vocabulary = value.num_embeddings

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """Grow or cut the token table; arguments as in `textual_inversion.resize_token_embeddings`."""
        return textual_inversion.resize_token_embeddings(self, new_num_tokens, pad_to_multiple_of, mean_resizing)

    @property
    def vocab_size(self) -> int:
        """Rows of the token table."""
        return self.config.vocabulary

    def load_textual_inversion(
        self, source: Any, tokenizer: Any, token: str | None = None, **kwargs: Any
    ) -> textual_inversion.TextualInversion:
        """Add an embedding file's vectors to this encoder and its placeholder to `tokenizer`; see
        `textual_inversion.load`.
        """
        return textual_inversion.load(self, source, tokenizer, token, **kwargs)

    # -- other libraries

    def as_transformers(self) -> TextEncoder:
        """Make this encoder an instance of `CLIPTextModel` or `CLIPTextModelWithProjection` as well, and return it.

        diffusers' pipelines then take it in `from_pretrained` and write it in `save_pretrained`, and load LoRA into it.
        That is done by itself where transformers' models are imported before the encoder is made. Imports transformers.
        """
        if type(self) is TextEncoder:
            self.__class__ = class_for(TextEncoder, self.text_projection is not None)  # type: ignore[assignment]
        return self

    @property
    def text_model(self) -> TextTower:
        """The tower; the encoder itself where it has no projection."""
        tower = self.tower
        if tower is self and sys._getframe(1).f_code.co_name == "_load_lora_into_text_encoder":
            # diffusers asks by `hasattr` whether modules are named with `text_model.`, and strips it from the file's
            # names if not. Its pipelines read `text_model.final_layer_norm` all the same, so the attribute must exist.
            raise AttributeError("text_model")
        return tower

    # -- training, by transformers' names

    def init_weights(self) -> None:
        """`reset_parameters`: CLIP's own initialisation."""
        self.reset_parameters()

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
        if not hasattr(tokenizer, "encode_packed"):
            raise TypeError(f"tokenizer is of type {type(tokenizer).__name__}; expected a cliptok.Tokenizer")
        self.warn_of(tokenizer, "Leave it out to use the encoder's")
        return tokenizer

    def warn_of(self, tokenizer: Any, remedy: str, padded: bool = False) -> None:
        """Warn where `tokenizer` contradicts the checkpoint's; with `padded` in its padding too."""
        if isinstance(self._own, Tokenizer) or self._own.known:
            differs = contradiction(self.tokenizer, tokenizer, padded)
            if differs is not None:
                warn_caller(f"tokenizer: {differs}. {remedy}")
