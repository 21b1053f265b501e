"""`verify`: what a checkpoint holds and how that is known, every weight read once, nothing built."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import torch

from cliptok._common.errors import PrintableErrors, printable
from cliptok.encoder.checkpoints.loading import inspect
from cliptok.encoder.checkpoints.parameters import check, origins
from cliptok.encoder.config import TextConfig


@dataclasses.dataclass(frozen=True)
class Verification:
    """What `verify` found. `str` of it is a report of one line each."""

    where: str
    """The file or index that was read."""
    layout: str
    """Whose tensor names these are: "transformers", "open_clip", "openai", "longclip" or "stable diffusion"."""
    config: TextConfig
    """The sizes, the activation, the projection and the ids that the encoder would have."""
    reasons: Mapping[str, str]
    """How `activation` and `causal` are known: the file that says so, the layout, or "a guess"."""
    guesses: tuple[str, ...]
    """What nothing decides, with the argument of `from_pretrained` that would."""
    tokenizer: str
    """The encoder's own tokenizer: its folder, or its profile."""
    dtypes: Mapping[str, int]
    """How many tensors of the tower have each dtype."""
    not_finite: tuple[str, ...]
    """Tensors of the tower with NaN or infinity in them."""
    left_over: tuple[str, ...]
    """Tensors under the tower's prefix that are not loaded."""

    @property
    def ok(self) -> bool:
        """Whether it loads without a guess."""
        return not self.guesses and not self.not_finite

    def __str__(self) -> str:
        config = self.config
        sizes = ("width", "layers", "heads", "mlp", "positions", "vocabulary", "projection")
        lines = {
            "file": self.where,
            "layout": self.layout,
            "sizes": ", ".join(f"{name} {getattr(config, name)}" for name in sizes),
            "activation": f"{config.activation} ({self.reasons.get('activation', 'by rule')})",
            "attention": f"{'causal' if config.causal else 'in both directions'}"
            f"{', with a class token' if config.class_token else ''} ({self.reasons.get('causal', 'by rule')})",
            "ids": f"start {config.start_id}, end {config.end_id}, padding {config.pad_id}",
            "tokenizer": self.tokenizer,
            "outputs": f"as {config.architecture}",
            "dtypes": ", ".join(f"{count} of {name}" for name, count in self.dtypes.items()),
            "not finite": ", ".join(self.not_finite) or "none",
            "left over": ", ".join(self.left_over[:8]) + (" ..." if len(self.left_over) > 8 else "") or "none",
            "guesses": "; ".join(self.guesses) or "none",
        }
        return "\n".join(f"{name:<11} {printable(value)}" for name, value in lines.items())


@PrintableErrors()
def verify(
    checkpoint: str | os.PathLike[str] | Mapping[str, torch.Tensor],
    *,
    subfolder: str | None = None,
    variant: str | None = None,
    encoder: str | None = None,
    local_files_only: bool = False,
    **changes: Any,
) -> Verification:
    """Find out what a checkpoint is; arguments as in `TextEncoder.from_pretrained`.

    Raises ValueError and FileNotFoundError as that does, for what would not load at all.
    """
    options = {"revision": None, "cache_dir": None, "token": None, "local_files_only": local_files_only}
    found, tokenizer = inspect(checkpoint, subfolder, variant, encoder, options, changes)
    wanted = origins(found.source, found.tower, found.config)
    check(found.source, found.tower, found.config, wanted)
    used = sorted({name for origin in wanted.values() for name in origin.names})
    own = tokenizer.folder["name_or_path"] if tokenizer.folder is not None else f"the profile {tokenizer.profile}"
    prefix = found.tower.outer
    return Verification(
        where=found.source.where,
        layout=found.layout,
        config=found.config,
        reasons=found.reasons,
        guesses=tuple(found.guesses),
        tokenizer=str(own),
        dtypes=collections.Counter(str(found.source.dtype(name)).removeprefix("torch.") for name in used),
        not_finite=tuple(name for name in used if not bool(torch.isfinite(found.source.read(name)).all())),
        left_over=tuple(name for name in sorted(found.source.shapes()) if name.startswith(prefix) and name not in used),
    )
