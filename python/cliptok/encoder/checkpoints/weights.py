"""Key layouts of CLIP text towers: which towers a file holds, and where each of our parameters comes from.

Two naming schemes exist, transformers' and OpenAI's (which open_clip kept), under many prefixes. A tower is found by
the name of its token table; everything else follows from the prefix.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from cliptok.encoder.checkpoints.sources import Source
from cliptok.encoder.config import TextConfig

LONGCLIP_KEPT = 20  # LongCLIP takes positions below this from `positional_embedding`, the others from `..._res`

_HF_TABLE = "embeddings.token_embedding.weight"
_OPENAI_TABLE = "token_embedding.weight"
_NEVER_LOADED = re.compile(
    r"(^|\.)(position_ids|attn_mask|logit_scale|logit_bias|input_resolution|context_length|vocab_size)$"
)
_OPENAI_ROOTS = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection", "cls_emb")
_HF_ROOTS = ("embeddings.", "encoder.", "final_layer_norm.", "text_projection.")
_OPENAI_BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}


@dataclasses.dataclass
class Origin:
    """One parameter of ours: the file's tensors that it is made of, how, and the shape that each must have."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    make: Callable[..., Tensor] = lambda tensor: tensor


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
        if name.endswith(_HF_TABLE) and (name == _HF_TABLE or name.endswith("." + _HF_TABLE)):
            towers.append(Tower(name.removesuffix(_HF_TABLE), openai=False))
        elif name == _OPENAI_TABLE or name.endswith("." + _OPENAI_TABLE):
            towers.append(Tower(name.removesuffix(_OPENAI_TABLE), openai=True))
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


def read_config(source: Source, tower: Tower, known: TextConfig | None, changes: Mapping[str, Any]) -> TextConfig:
    """Sizes from the weights; activation, heads and ids from `known`, or by rule where there is no configuration.

    The rules: heads are 64 wide. SD 2's tower and SDXL's and SD 3's second are OpenCLIP models: gelu, pad id 0.
    SD 1's and SDXL's and SD 3's first are OpenAI's: quick_gelu. Anything else goes by width: quick_gelu up to 768,
    gelu beyond. An OpenCLIP tower of width 512 or 768 without a configuration therefore needs `activation="gelu"`.
    SD 2 files use all blocks but the last (23 of 24), and no projection. `changes` come last.
    """
    shapes = source.shapes()
    table = shapes[tower.prefix + (_OPENAI_TABLE if tower.openai else _HF_TABLE)]
    if len(table) != 2:
        raise ValueError(f"{source.where}: token_embedding.weight has shape {table}, not (vocabulary, width)")
    vocabulary, width = table
    positions = _need(
        source, tower.prefix + ("positional_embedding" if tower.openai else "embeddings.position_embedding.weight")
    )
    mlp = _need(source, f"{tower.block}0." + ("mlp.c_fc.weight" if tower.openai else "mlp.fc1.weight"))
    numbers = {int(m[1]) for name in shapes if (m := re.match(re.escape(tower.block) + r"(\d+)\.", name))}
    layers = max(numbers) + 1
    projection = None
    if tower.outer + "text_projection.weight" in shapes:
        projection = shapes[tower.outer + "text_projection.weight"][0]
    elif tower.openai and tower.prefix + "text_projection" in shapes:
        projection = shapes[tower.prefix + "text_projection"][-1]
    if tower.sd2:
        layers, projection = (layers if layers == 23 else layers - 1), None
    gelu = tower.sd2 or tower.family == "clip_g" or (tower.family is None and width > 768)
    config = known or TextConfig(
        activation="gelu" if gelu else "quick_gelu",
        pad_id=0 if gelu else 49407,
        width=width,
        heads=max(width // 64, 1),
    )
    config = dataclasses.replace(
        config,
        width=width,
        layers=layers,
        mlp=mlp[0],
        positions=positions[0],
        vocabulary=vocabulary,
        projection=projection,
    )
    if config.end_id >= vocabulary:
        config = dataclasses.replace(config, start_id=vocabulary - 2, end_id=vocabulary - 1)
    if "projection" in changes and changes["projection"] not in (None, projection):
        raise ValueError(f"projection must be None or the file's {projection}, not {changes['projection']}")
    if changes.get("layers", 1) > layers:
        raise ValueError(f"layers must be at most the file's {layers}, not {changes['layers']}")
    return dataclasses.replace(config, **changes)


def origins(source: Source, tower: Tower, config: TextConfig) -> dict[str, Origin]:
    """Where each parameter of `TextTower(config)` comes from, by our name."""
    d, m, p = config.width, config.mlp, tower.prefix
    result: dict[str, Origin] = {}
    if tower.openai:
        result[_HF_TABLE] = Origin((p + _OPENAI_TABLE,), (config.vocabulary, d))
        positions: tuple[str, ...] = (p + "positional_embedding",)
        if p + "positional_embedding_res" in source.shapes():
            positions += (p + "positional_embedding_res",)
        result["embeddings.position_embedding.weight"] = Origin(positions, (config.positions, d), _long_positions)
    else:
        for name, rows in (("token", config.vocabulary), ("position", config.positions)):
            name = f"embeddings.{name}_embedding.weight"
            result[name] = Origin((p + name,), (rows, d))
    shapes = {
        "layer_norm1": (d,),
        "self_attn.q_proj": (d, d),
        "self_attn.k_proj": (d, d),
        "self_attn.v_proj": (d, d),
        "self_attn.out_proj": (d, d),
        "layer_norm2": (d,),
        "mlp.fc1": (m, d),
        "mlp.fc2": (d, m),
    }
    for i in range(config.layers):
        for module, shape in shapes.items():
            for kind, size in (("weight", shape), ("bias", shape[:1])):
                ours = f"encoder.layers.{i}.{module}.{kind}"
                if not tower.openai:
                    result[ours] = Origin((p + ours,), size)
                elif module in _OPENAI_BLOCK:
                    result[ours] = Origin((f"{tower.block}{i}.{_OPENAI_BLOCK[module]}.{kind}",), size)
                else:
                    third = ("q", "k", "v").index(module.split(".")[1][0])
                    result[ours] = Origin(
                        (f"{tower.block}{i}.attn.in_proj_{kind}",), (3 * d, *size[1:]), _third(third, d)
                    )
    for kind in ("weight", "bias"):
        name = f"ln_final.{kind}" if tower.openai else f"final_layer_norm.{kind}"
        result[f"final_layer_norm.{kind}"] = Origin((p + name,), (d,))
    if config.projection is not None:
        linear = tower.outer + "text_projection.weight"
        if tower.openai and linear not in source.shapes():
            transposed = (p + "text_projection",)
            result["text_projection.weight"] = Origin(transposed, (d, config.projection), lambda t: t.t().contiguous())
        else:
            result["text_projection.weight"] = Origin((linear,), (config.projection, d))
    return result


def check(source: Source, tower: Tower, config: TextConfig, wanted: Mapping[str, Origin]) -> None:
    """Raise ValueError that names every missing, wrongly shaped or unknown tensor of the tower."""
    shapes = source.shapes()
    names = {name: origin.shape for origin in wanted.values() for name in origin.names}
    missing = sorted(name for name in names if name not in shapes)
    wrong = sorted(
        f"{name} {shapes[name]} for {size}" for name, size in names.items() if shapes.get(name, size) != size
    )
    roots = tuple(tower.prefix + root for root in (_OPENAI_ROOTS if tower.openai else _HF_ROOTS))
    whole = bool(tower.prefix)  # under a prefix of its own everything belongs to the tower
    extra = []
    for name in shapes:
        mine = name.startswith(tower.prefix) if whole else name.startswith(roots)
        mine = mine or name.startswith(f"{tower.outer}text_projection.")
        if name in names or not mine or _NEVER_LOADED.search(name):
            continue
        cut = re.match(re.escape(tower.block) + r"(\d+)\.", name)
        unused = config.projection is None and re.fullmatch(r"text_projection(\.weight)?", name[len(tower.outer) :])
        if unused or (cut and int(cut[1]) >= config.layers):
            continue  # left out on purpose: SD 2's last block and projection, or the caller's choice
        if whole and name.startswith(tower.prefix + "visual."):
            continue
        extra.append(name)
    problems = [
        f"{what}: {', '.join(found[:8])}{f' and {len(found) - 8} more' if len(found) > 8 else ''}"
        for what, found in (("missing", missing), ("wrongly shaped", wrong), ("unknown", sorted(extra)))
        if found
    ]
    if problems:
        raise ValueError(f"{source.where} is no whole CLIP text tower; {'; '.join(problems)}")


def _need(source: Source, name: str) -> tuple[int, ...]:
    shape = source.shapes().get(name)
    if shape is None:
        raise ValueError(f"{source.where} is no whole CLIP text tower; missing: {name}")
    if len(shape) != 2:
        raise ValueError(
            f"{source.where} is no whole CLIP text tower; wrongly shaped: {name} {shape}, two sizes expected"
        )
    return shape


def _third(part: int, width: int) -> Callable[[Tensor], Tensor]:
    return lambda packed: packed[part * width : (part + 1) * width]


def _long_positions(positions: Tensor, stretched: Tensor | None = None) -> Tensor:
    if stretched is None:
        return positions
    return torch.cat([positions[:LONGCLIP_KEPT], stretched[LONGCLIP_KEPT:]])
