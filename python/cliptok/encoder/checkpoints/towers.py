"""Finding text towers among the tensor names of a file.

Two naming schemes exist, transformers' and OpenAI's (which open_clip kept), under many prefixes. A tower is found by
the name of its token table; everything else follows from the prefix.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable

from cliptok.encoder.checkpoints.sources import Source

HF_TABLE = "embeddings.token_embedding.weight"
OPENAI_TABLE = "token_embedding.weight"
_NUMBER = re.compile(r"(0|[1-9][0-9]{0,8})\.")


@dataclasses.dataclass
class Tower:
    """One text tower in a file."""

    prefix: str  # before every name of the tower
    openai: bool  # OpenAI's naming, else transformers'

    @property
    def outer(self) -> str:
        """The prefix of `text_projection`: transformers keeps it outside `text_model`."""
        return self.prefix if self.openai else self.prefix.removesuffix("text_model.")

    @property
    def block(self) -> str:
        return self.prefix + ("transformer.resblocks." if self.openai else "encoder.layers.")

    def block_number(self, name: str) -> int | None:
        """Which block a tensor belongs to; None outside the blocks."""
        found = _NUMBER.match(name, len(self.block)) if name.startswith(self.block) else None
        return None if found is None else int(found[1])

    @property
    def sd2(self) -> bool:
        return self.prefix == "cond_stage_model.model."

    @property
    def family(self) -> str | None:
        """One of "clip_l" and "clip_g", where the prefix says which of Stable Diffusion's encoders this is."""
        if "clip_g" in self.prefix or re.match(r"conditioner\.embedders\.\d+\.model\.", self.prefix):
            return "clip_g"
        if "clip_l" in self.prefix or self.prefix.startswith(("conditioner.", "cond_stage_model.transformer.")):
            return "clip_l"
        return None


def find_towers(names: Iterable[str]) -> list[Tower]:
    """Every text tower among the names of a file, in the order of their prefixes."""
    towers = []
    for name in sorted(names):
        if name.endswith(HF_TABLE) and (name == HF_TABLE or name.endswith("." + HF_TABLE)):
            towers.append(Tower(name.removesuffix(HF_TABLE), openai=False))
        elif name == OPENAI_TABLE or name.endswith("." + OPENAI_TABLE):
            towers.append(Tower(name.removesuffix(OPENAI_TABLE), openai=True))
    return towers


def choose_tower(source: Source, encoder: str | None) -> Tower:
    """The only tower of a file, or the one called `encoder`: "clip_l", "clip_g", or a prefix. Else ValueError."""
    towers = find_towers(source.shapes())
    if not towers:
        found = sorted({name.split(".")[0] for name in source.shapes()})
        raise ValueError(
            f"{source.where} holds no CLIP text tower: no tensor is called token_embedding.weight "
            f"(names begin with {', '.join(found[:8]) or 'nothing'})"
        )
    if encoder is not None:
        named = [
            tower for tower in towers if tower.family == encoder or tower.prefix.rstrip(".") == encoder.rstrip(".")
        ]
        if len(named) == 1:
            return named[0]
    elif len(towers) == 1:
        return towers[0]
    choices = ", ".join(f'"{tower.family or tower.prefix}"' for tower in towers)
    raise ValueError(
        f"{source.where} holds {len(towers)} text towers; choose one with encoder={choices}, not {encoder!r}"
    )
