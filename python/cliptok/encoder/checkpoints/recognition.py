"""Which model a checkpoint holds: from its configuration, its layout and its weights, and what had to be guessed."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cliptok._common.warning import warn_caller
from cliptok.encoder.checkpoints.configurations import Configuration
from cliptok.encoder.checkpoints.known_files import ACTIVATION_BY_SHA256
from cliptok.encoder.checkpoints.sources import Source
from cliptok.encoder.checkpoints.torchscript import TorchScriptSource
from cliptok.encoder.checkpoints.towers import HF_TABLE, OPENAI_TABLE, Tower
from cliptok.encoder.config import MAX_SIZES, TextConfig, whole_number

_CLIP_VOCABULARY = 49408
_ADDED_TOKENS = 4096  # more rows than CLIP's vocabulary and this many are those of another tokenizer
_FOREIGN_TENSORS = {
    "head.weight": "SigLIP's text tower, which attends in both directions; transformers' SiglipTextModel computes it",
    "text_projection.bias": "a tower whose projection has a bias, as SigLIP's in open_clip, which computes it",
}


@dataclasses.dataclass
class Recognised:
    """A text tower that was found, and what it is."""

    source: Source
    tower: Tower
    config: TextConfig
    layout: str
    """Whose names the tensors have, such as "open_clip"."""
    reasons: dict[str, str]
    """How `activation` and `causal` are known."""
    guesses: list[str]
    """What nothing decides: one message each, which names the argument that does."""


def recognise(source: Source, tower: Tower, known: Configuration | None, changes: Mapping[str, Any]) -> Recognised:
    """Sizes from the weights; activation, heads, mask and ids from the configuration, else by rule.

    The rules: heads are 64 wide. SD 2's tower and SDXL's and SD 3's second are OpenCLIP models: gelu, pad id 0. SD 1's
    and SDXL's and SD 3's first are OpenAI's: quick_gelu. So are TorchScript archives. A file that open_clip released
    under its own hash is known by it. Anything else is a guess by width, quick_gelu up to 768 and gelu beyond, and
    always gelu under the prefix `text.`. SD 2 files use all blocks but the last (23 of 24), and no projection.
    `changes` come last. Raises ValueError where the configuration and the weights disagree, naming both numbers.
    """
    shapes = source.shapes()
    found = sizes(source, tower)
    _refuse_foreign(source, tower, found["vocabulary"], known is not None)
    projection = _projection(source, tower)
    if known is not None:
        _agree(source, known, {**found, "projection": projection}, changes)
    layout = _layout(source, tower)
    reasons: dict[str, str] = {}
    guesses: list[str] = []
    config = _by_rule(source, tower, layout, found["width"], reasons, guesses) if known is None else known.config
    if known is not None:
        reasons = {"activation": known.path.name, "causal": known.path.name}
    if known is not None and "projection" not in changes:
        projection = _promised(source, known, projection)
    layers = found["layers"]
    if tower.sd2:
        layers, projection = (layers if layers == 23 else layers - 1), None
    if known is not None and known.library == "transformers":
        layers = min(layers, known.stated.get("layers", layers))
    architecture = config.architecture if known is not None else _architecture(tower, shapes)
    config = dataclasses.replace(
        config, **{**found, "layers": layers}, projection=projection, architecture=architecture if projection else ""
    )
    if config.end_id >= config.vocabulary:
        config = dataclasses.replace(config, start_id=config.vocabulary - 2, end_id=config.vocabulary - 1)
    if changes.get("projection") not in (None, projection):
        raise ValueError(f"projection must be None or the file's {projection}, not {changes['projection']}")
    if whole_number(changes.get("layers", 1), "layers", 1, MAX_SIZES["layers"]) > found["layers"]:
        raise ValueError(f"layers must be at most the file's {found['layers']}, not {changes['layers']}")
    for name in ("activation", "causal"):
        if name in changes:
            reasons[name] = "the argument"
            guesses = [guess for guess in guesses if f"{name}=" not in guess]
    try:
        config = dataclasses.replace(config, **changes)
    except ValueError as error:  # An argument and the file's sizes.
        raise ValueError(f"{source.where}: {error}") from error
    return Recognised(source, tower, config, layout, reasons, guesses)


def announce(guesses: list[str], where: str, strict: bool) -> None:
    """Warn of what was guessed; with `strict` raise ValueError."""
    if not guesses:
        return
    message = f"{where} has no configuration that decides: {'; '.join(guesses)}"
    if strict:
        raise ValueError(message)
    warn_caller(message)


def sizes(source: Source, tower: Tower) -> dict[str, Any]:
    """Width, depth and so on of a tower, by our names, from the shapes of its tensors. ValueError for broken ones."""
    shapes = source.shapes()
    vocabulary, width = _need(source, tower.prefix + (OPENAI_TABLE if tower.openai else HF_TABLE))
    positions = _need(
        source, tower.prefix + ("positional_embedding" if tower.openai else "embeddings.position_embedding.weight")
    )
    mlp = _need(source, f"{tower.block}0." + ("mlp.c_fc.weight" if tower.openai else "mlp.fc1.weight"))
    numbers = {number for name in shapes if (number := tower.block_number(name)) is not None}
    if (gap := next(number for number in range(len(numbers) + 1) if number not in numbers)) < len(numbers):
        raise ValueError(
            f"{source.where} is no whole CLIP text tower; missing: {tower.block}{gap}. (blocks go to {max(numbers)})"
        )
    return {"vocabulary": vocabulary, "width": width, "positions": positions[0], "mlp": mlp[0], "layers": len(numbers)}


def _agree(source: Source, known: Configuration, found: Mapping[str, int | None], changes: Mapping[str, Any]) -> None:
    for name, stated in known.stated.items():
        size = found[name]
        if size is None or stated == size or name in changes:
            continue
        if name == "layers" and stated < size and known.library == "transformers":
            continue  # as there: a configuration may skip the last ones
        remedy = "; give layers= if that is meant" if name == "layers" else ""
        raise ValueError(f"{known.path} says {name} {stated}, but {source.where} has {name} {found[name]}{remedy}")


def _promised(source: Source, known: Configuration, projection: int | None) -> int | None:
    """The projection to load. A class of transformers without one leaves it in the file."""
    if known.projection and projection is None:
        raise ValueError(
            f"{known.path} promises a projection to {known.config.projection}, but {source.where} has no "
            "text_projection; give projection=None if that is meant"
        )
    if known.projection is False:
        return None
    return projection


def _projection(source: Source, tower: Tower) -> int | None:
    for name, size in (("text_projection.weight", 0), ("text_projection", 1)):
        if tower.outer + name in source.shapes():
            return _need(source, tower.outer + name)[size]
    return None


def _layout(source: Source, tower: Tower) -> str:
    if isinstance(source, TorchScriptSource):
        return "openai"
    if tower.sd2 or tower.family is not None:
        return "stable diffusion"
    if not tower.openai:
        return "transformers"
    return "longclip" if tower.prefix + "positional_embedding_res" in source.shapes() else "open_clip"


def _architecture(tower: Tower, shapes: Mapping[str, Any]) -> str:
    """Of a file with a projection: Stable Diffusion's are encoders alone, as are files of transformers' class."""
    outer = tower.outer
    whole = any(name.startswith((f"{outer}vision_model.", f"{outer}visual")) for name in shapes)
    if tower.family is not None or (not tower.openai and not whole):
        return "CLIPTextModelWithProjection"
    return "CLIPModel"


def _by_rule(
    source: Source, tower: Tower, layout: str, width: int, reasons: dict[str, str], guesses: list[str]
) -> TextConfig:
    names = source.shapes()
    gelu = width > 768
    causal = True
    if layout == "openai":
        gelu, reasons["activation"] = False, "a TorchScript archive, as OpenAI's"
    elif tower.sd2 or tower.family == "clip_g":
        gelu, reasons["activation"] = True, "the layout of Stable Diffusion"
    elif tower.family == "clip_l":
        gelu, reasons["activation"] = False, "the layout of Stable Diffusion"
    elif layout == "longclip":
        gelu, reasons["activation"] = False, "the layout of LongCLIP, which is OpenAI's"
    elif (released := _released(source)) is not None:
        gelu, reasons["activation"] = released == "gelu", "the file's hash, which open_clip publishes"
    else:
        custom = tower.prefix.endswith("text.")
        gelu = gelu or custom
        reasons["activation"] = "a guess"
        guessed = "gelu" if gelu else "quick_gelu"
        guesses.append(f'activation="{guessed}" is a guess, and so are heads 64 wide; pass activation= (and heads)')
        if custom:
            causal = not any(name.startswith(("visual.trunk.", "visual.")) and "token_mixer" in name for name in names)
            reasons["causal"] = "a guess"
            guesses.append(f"causal={causal} is a guess, since some MobileCLIPs have no causal mask; pass causal=")
    return TextConfig(
        activation="gelu" if gelu else "quick_gelu",
        pad_id=0 if gelu or layout in ("open_clip", "longclip", "openai") else 49407,
        width=width,
        heads=max(width // 64, 1),
        causal=causal,
        class_token=tower.prefix + "cls_emb" in names,
    )


def _released(source: Source) -> str | None:
    """The activation of a file that open_clip released: its name ends in eight digits of its own SHA-256."""
    path = Path(source.where)
    name = re.search(r"-([0-9a-f]{8})$", path.stem)
    if name is None or name[1] not in ACTIVATION_BY_SHA256 or not path.is_file():
        return None
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _sha256(file)
    return ACTIVATION_BY_SHA256[name[1]] if digest.startswith(name[1]) else None


def _sha256(file: Any) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _refuse_foreign(source: Source, tower: Tower, vocabulary: int, known: bool) -> None:
    """What the tensors themselves show to be another model. A configuration has the last word on the vocabulary."""
    shapes = source.shapes()
    for name, what in _FOREIGN_TENSORS.items():
        if tower.prefix + name in shapes:
            raise ValueError(f"{source.where} holds {what} (unknown: {tower.prefix + name})")
    foreign = vocabulary > _CLIP_VOCABULARY + _ADDED_TOKENS or 16384 < vocabulary < _CLIP_VOCABULARY - 1
    if foreign and not known and tower.prefix + "cls_emb" not in shapes:
        raise ValueError(
            f"{source.where} has a vocabulary of {vocabulary}, and CLIP's has {_CLIP_VOCABULARY}: it is made for "
            "another tokenizer, and such towers often have another mask and pooling too. The library that released "
            "it computes it"
        )


def _need(source: Source, name: str) -> tuple[int, ...]:
    shape = source.shapes().get(name)
    if shape is None:
        raise ValueError(f"{source.where} is no whole CLIP text tower; missing: {name}")
    if len(shape) != 2 or 0 in shape:
        raise ValueError(
            f"{source.where} is no whole CLIP text tower; wrongly shaped: {name} {shape}, two sizes expected"
        )
    return shape
