"""What the tools gave for each recorded prompt, beside the repository, and how to ask ours for the same.

`../shared/prompts/README.md` says what the records hold.
"""

import dataclasses
import json
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from cliptok import Tokenizer
from cliptok.prompts import Planner
from support.corpora import SHARED
from support.shared import missing

FOLDER = SHARED / "prompts"


@dataclasses.dataclass(frozen=True)
class Case:
    """How one record file was made, in our words."""

    dialect: str
    family: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    profile: str | None = None
    """Of the pipeline's own tokenizers."""
    layers: int | None = None
    """Blocks of the encoder `h`, which some tools cut."""


def _web(family: str, dialect: str = "a1111", **settings: Any) -> Case:
    # The records begin after AND and schedules.
    return Case(dialect, family, {"prompt_editing": False, **settings})


def _compel(**settings: Any) -> Case:
    return Case("compel", "sd1", settings)


SLOW = "transformers-slow"
CASES = {
    "a1111-sd1": _web("sd1"),
    "a1111-sd1-backtrack0": _web("sd1", comma_backtrack=0),
    "a1111-sd1-backtrack74": _web("sd1", comma_backtrack=74),
    "a1111-sd1-ignore": _web("sd1", emphasis="ignore"),
    "a1111-sd1-none": _web("sd1", emphasis="none"),
    "a1111-sd1-nonorm": _web("sd1", emphasis="no norm"),
    "a1111-sd1-old": _web("sd1", emphasis="old"),
    "a1111-sd1-skip2": _web("sd1", clip_skip=2),
    "a1111-sd2": _web("sd2"),
    "a1111-sdxl": _web("sdxl"),
    "a1111-sdxl-nonorm": _web("sdxl", emphasis="no norm"),
    "a1111-sdxl-lskip1": _web("sdxl", clip_skip=1, clip_skip_sdxl=True),
    "a1111-ti-sd1": _web("sd1"),
    "a1111-ti-sdxl": _web("sdxl"),
    "forge-sd1": _web("sd1", "forge"),
    "forge-sd1-skip2": _web("sd1", "forge", clip_skip=2),
    "forge-sd2": _web("sd2", "forge"),
    "forge-sdxl": _web("sdxl", "forge"),
    "forge-sdxl-skip1": _web("sdxl", "forge", clip_skip=1),
    "forge-sdxl-skip3": _web("sdxl", "forge", clip_skip=3),
    "comfy-sd1": Case("comfyui", "sd1"),
    "comfy-sd1-layer-2": Case("comfyui", "sd1", {"clip_skip": 2}),
    "comfy-sd2": Case("comfyui", "sd2"),
    "comfy-sd3": Case("comfyui", "sd3"),
    "comfy-sdxl": Case("comfyui", "sdxl"),
    "comfy-sdxl-layer-1": Case("comfyui", "sdxl", {"clip_skip": 1}),
    "comfy-ti-sd1": Case("comfyui", "sd1"),
    "comfy-ti-sdxl": Case("comfyui", "sdxl"),
    "compel-sd1": _compel(),
    "compel-sd1-nobypass": _compel(),
    "compel-sd1-penultimate": _compel(clip_skip=2, normalized=False),
    "compel-sd1-penultimate-norm": Case("compel", "sd1", {"clip_skip": 2}, SLOW),
    "compel-sd1-remove": _compel(downweight="remove"),
    "compel-sd1-split-brutal": _compel(split="brutal"),
    "compel-sd1-split-copyfirst": _compel(cls="copy"),
    "compel-sd1-split-merge": _compel(cls="merge"),
    "compel-sd1-split-phrases": _compel(split="phrases"),
    "compel-sd1-split-words": _compel(split="words"),
    "compel-sd1-truncate": _compel(truncate_long_prompts=True),
    "compel-sdxl": Case("compel", "sdxl"),
    "lpw-sd1": Case("lpw", "sd1", {}, SLOW),
    "lpw-sd1-noboseos": Case("lpw", "sd1", {"no_boseos_middle": True}, SLOW),
    "lpw-sd1-noparsing": Case("lpw", "sd1", {"skip_parsing": True}, SLOW),
    "lpw-sd1-noweighting": Case("lpw", "sd1", {"skip_weighting": True}, SLOW),
    "lpw-sd1-skip1": Case("lpw", "sd1", {"clip_skip": 1}, SLOW),
    "lpw-sdxl": Case("lpw-xl", "sdxl", {}, SLOW),
    "lpw-sdxl-skip1": Case("lpw-xl", "sdxl", {"clip_skip": 1}, SLOW),
    "sdembed-sd15": Case("sd_embed", "sd1", {}, SLOW),
    "sdembed-sd15-pad-skip1": Case("sd_embed", "sd1", {"pad_last_block": True, "clip_skip": 1}, SLOW),
    "sdembed-sdxl": Case("sd_embed", "sdxl", {}, SLOW),
    "sdembed-sdxl-2p": Case("sd_embed", "sdxl", {"two_prompts": True}, SLOW),
    "sdembed-sdxl-refiner": Case("sd_embed", "sdxl-refiner", {}, SLOW),
    "sdnext-native-sd1": Case("sdnext", "sd1"),
    "sdnext-native-sd1-meannorm-skip2": Case("sdnext", "sd1", {"mean_norm": True, "clip_skip": 2}),
    "sdnext-native-sdxl": Case("sdnext", "sdxl"),
    "sdnext-native-sdxl-tepooled": Case("sdnext", "sdxl", {"te_pooled": True}),
    "sdnext-a1111-sd1": Case("sdnext-a1111", "sd1"),
    "sdnext-fixed-sd1": Case("sdnext-fixed", "sd1"),
    **{
        f"adv-{family}-{mode}": Case("comfyui-adv", family, {"interpretation": mode})
        for family in ("sd1", "sdxl")
        for mode in ("A1111", "comfy", "comfy++", "compel", "down_weight")
    },
}
"""Record files whose entries are one prompt each, perhaps with a negative prompt."""


@cache
def recipe() -> Any:
    """The module that builds the records' encoders."""
    if not (FOLDER / "recipe.py").is_file():
        missing(f"no prompts in {SHARED}; set CLIPTOK_SHARED to the folder that has them")
    sys.path.insert(0, str(FOLDER))
    try:
        import recipe as module
    finally:
        sys.path.remove(str(FOLDER))
    return module


@cache
def prompts() -> dict[str, Any]:
    if not (FOLDER / "prompts.json").is_file():
        missing(f"no prompts in {SHARED}; set CLIPTOK_SHARED to the folder that has them")
    return json.loads((FOLDER / "prompts.json").read_text())


@dataclasses.dataclass
class Record:
    """One prompt and what the tool gave."""

    key: str
    text: str
    negative: str | None
    entry: dict[str, Any]
    arrays: Any
    settings: dict[str, Any]

    def array(self, name: str) -> np.ndarray | None:
        """`ids`, `weights`, `pooled` and so on, whole; embeddings as signatures, one row of 4 for each position."""
        if f"{name}_shape" not in self.entry:
            return None
        shape, at = self.entry[f"{name}_shape"], self.entry[f"{name}_at"]
        values = self.arrays[name]
        if name.endswith("emb"):
            rows = int(np.prod(shape[:-1]))
            return values[at : at + rows].reshape(*shape[:-1], 4)
        return values[at : at + int(np.prod(shape))].reshape(shape)


def records(name: str) -> Iterator[Record]:
    """The entries of a record file."""
    everything = prompts()
    content = json.loads((FOLDER / f"{name}.json").read_text())
    arrays_file = FOLDER / f"{name}.npz"
    arrays = dict(np.load(arrays_file)) if arrays_file.is_file() else {}
    for key, entry in content["prompts"].items():
        prompt, _, normalization = key.partition("|")
        negative = everything["negatives"][entry["negative"]] if "negative" in entry else None
        settings = {"normalization": normalization} if normalization else {}
        text = entry.get("text", everything["prompts"].get(prompt))
        yield Record(key, text, negative, entry, arrays, settings)


def own_tokenizers(case: Case) -> dict[str, Tokenizer]:
    profile = case.profile or "transformers"
    return {
        role: Tokenizer.from_preset(preset, profile) for role, preset in (("l", "sd1"), ("h", "sd2"), ("g", "sdxl-2"))
    }


def embeddings(name: str) -> dict[str, int]:
    """The textual inversions of a record file and how many vectors each has."""
    content = json.loads((FOLDER / f"{name}.json").read_text())
    return content["settings"].get("embeddings", {})


PARTS = {"sdnext-a1111": ("sdnext", {"grammar": "sdnext-a1111"}), "sdnext-fixed": ("sdnext", {"grammar": "plain"})}


def planner(name: str, **options: Any) -> Planner:
    case = CASES[name]
    dialect, parts = PARTS.get(case.dialect, (case.dialect, {}))
    made = Planner(dialect, case.family, tokenizers=own_tokenizers(case), **parts, **options)
    for role in made.inversions:
        made.inversions[role].update(embeddings(name))
    return made


def refused(record: Record) -> bool:
    """Whether the record is one that we refuse: what the tool crashed on, and numbers that are not finite."""
    entry = record.entry
    return "error" in entry or bool(entry.get("emb_nonfinite")) or ":nan)" in record.text or ":inf)" in record.text
