"""Where each of our parameters comes from in a file, and whether the file has all of them and nothing else."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from cliptok._common.json_files import some
from cliptok.encoder.checkpoints.sources import Source
from cliptok.encoder.checkpoints.towers import HF_TABLE, OPENAI_TABLE, Tower
from cliptok.encoder.config import TextConfig

LONGCLIP_KEPT = 20  # LongCLIP takes positions below this from `positional_embedding`, the others from `..._res`

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


def origins(source: Source, tower: Tower, config: TextConfig) -> dict[str, Origin]:
    """Where each parameter of `TextTower(config)` comes from, by our name."""
    d, m, p = config.width, config.mlp, tower.prefix
    result: dict[str, Origin] = {}
    if tower.openai:
        result[HF_TABLE] = Origin((p + OPENAI_TABLE,), (config.vocabulary, d))
        positions: tuple[str, ...] = (p + "positional_embedding",)
        if p + "positional_embedding_res" in source.shapes():
            positions += (p + "positional_embedding_res",)
        result["embeddings.position_embedding.weight"] = Origin(positions, (config.positions, d), _long_positions)
    else:
        for name, rows in (("token", config.vocabulary), ("position", config.positions)):
            name = f"embeddings.{name}_embedding.weight"
            result[name] = Origin((p + name,), (rows, d))
    if config.class_token:
        result["embeddings.class_embedding"] = Origin((p + "cls_emb",), (d,))
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
        if linear not in source.shapes():
            transposed = (tower.outer + "text_projection",)  # OpenAI's parameter, also where ComfyUI kept it
            result["text_projection.weight"] = Origin(transposed, (d, config.projection), lambda t: t.t().contiguous())
        else:
            result["text_projection.weight"] = Origin((linear,), (config.projection, d))
    return result


def check(source: Source, tower: Tower, config: TextConfig, wanted: Mapping[str, Origin]) -> None:
    """Raise ValueError that names every missing, wrongly shaped or unknown tensor of the tower."""
    shapes = source.shapes()
    names = {name: origin.shape for origin in wanted.values() for name in origin.names}
    missing = sorted(name for name in names if name not in shapes)
    present = [name for name in names if name in shapes]
    unfit = sorted(f"{name} ({fault})" for name in present if (fault := source.fault(name)) is not None)
    if unfit:
        quantized = "it is quantized, and its scales are not known here; load the original, or dequantize it first"
        integers = any("(integers" in entry for entry in unfit)
        raise ValueError(
            f"{source.where} has weights that are no dense floating-point numbers, in {some(unfit)}"
            f"{': ' + quantized if integers else ''}"
        )
    wrong = sorted(
        f"{name} {shapes[name]} for {size}" for name, size in names.items() if shapes.get(name, size) != size
    )
    roots = tuple(tower.prefix + root for root in (_OPENAI_ROOTS if tower.openai else _HF_ROOTS))
    whole = bool(tower.prefix)  # under a prefix of its own everything belongs to the tower
    extra = []
    for name in shapes:
        mine = name.startswith(tower.prefix) if whole else name.startswith(roots)
        mine = mine or name.startswith(f"{tower.outer}text_projection")
        if name in names or not mine or _NEVER_LOADED.search(name):
            continue
        number = tower.block_number(name)
        unused = config.projection is None and re.fullmatch(r"text_projection(\.weight)?", name[len(tower.outer) :])
        if unused or (number is not None and number >= config.layers):
            continue  # left out on purpose: SD 2's last block and projection, or the caller's choice
        if whole and name.startswith(tower.prefix + "visual."):
            continue
        extra.append(name)
    problems = [
        f"{what}: {some(found)}"
        for what, found in (("missing", missing), ("wrongly shaped", wrong), ("unknown", sorted(extra)))
        if found
    ]
    if problems:
        raise ValueError(f"{source.where} is no whole CLIP text tower; {'; '.join(problems)}")


def _third(part: int, width: int) -> Callable[[Tensor], Tensor]:
    return lambda packed: packed[part * width : (part + 1) * width]


def _long_positions(positions: Tensor, stretched: Tensor | None = None) -> Tensor:
    if stretched is None:
        return positions
    return torch.cat([positions[:LONGCLIP_KEPT], stretched[LONGCLIP_KEPT:]])
