"""`TextEncoder`: the text tower of CLIP with what people do with it: load, save, encode texts, add tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from cliptok.encoder import textual_inversion
from cliptok.encoder.checkpoints import loading
from cliptok.encoder.encode import encode, warm_up
from cliptok.encoder.model import TextModel
from cliptok.encoder.sharing import graphs
from cliptok.encoder.zero_shot import zero_shot


class TextEncoder(TextModel):
    """A CLIP text encoder with random weights of CLIP's own initialisation; `from_pretrained` loads weights.

    Takes a `TextConfig` or the name of a preset, such as "ViT-L-14".
    """

    def _apply(self, fn: Any, recurse: bool = True) -> TextEncoder:
        """What `to`, `half` and their like do. Graphs read weights where they were, and hold memory of the device."""
        graphs.release(self)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def get_input_embeddings(self) -> nn.Embedding:
        """The table of tokens (vocabulary, width)."""
        return self.embeddings.token_embedding

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Take another table of tokens (any number, width)."""
        self.embeddings.token_embedding = value
        self.config.vocabulary = value.num_embeddings

    def resize_token_embeddings(self, new_num_tokens: int | None = None) -> nn.Embedding:
        """Grow or cut the token table to `new_num_tokens` rows; new rows are random. Returns the new table."""
        return textual_inversion.resize_token_embeddings(self, new_num_tokens)

    def load_textual_inversion(
        self, source: Any, tokenizer: Any, token: str | None = None, **kwargs: Any
    ) -> textual_inversion.TextualInversion:
        """Add an embedding file's vectors to this encoder and its placeholder to `tokenizer`; see
        `textual_inversion.load`.
        """
        return textual_inversion.load(self, source, tokenizer, token, **kwargs)

    @classmethod
    def from_pretrained(cls, source: str | Path, **kwargs: Any) -> TextEncoder:
        """Load any published layout from a folder, a file or a hub name; arguments as in `loading.load`."""
        return loading.load(cls, source, **kwargs)

    def save_pretrained(self, folder: str | Path, **kwargs: Any) -> None:
        """Write `config.json` and safetensors that transformers and diffusers load; see `loading.save`."""
        loading.save(self, folder, **kwargs)

    def encode(self, texts: str | Sequence[str] | Iterable[str], tokenizer: Any = None, **kwargs: Any) -> Any:
        """Embeddings (n, d) of texts in input order, nothing computed twice; arguments as in `encode.encode`."""
        return encode(self, texts, tokenizer, **kwargs)

    def warm_up(self, **kwargs: Any) -> int:
        """Capture this encoder's CUDA graphs before they are needed; arguments as in `encode.warm_up`."""
        return warm_up(self, **kwargs)

    def zero_shot(
        self, class_names: Sequence[str], templates: Sequence[Any], tokenizer: Any = None, **kwargs: Any
    ) -> Tensor:
        """The (classes, d) matrix of zero-shot classification; arguments as in `zero_shot.zero_shot`."""
        return zero_shot(self, class_names, templates, tokenizer, **kwargs)
