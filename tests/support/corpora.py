"""The corpora that lie beside the repository, or where CLIPTOK_SHARED says, and the reference ids of their lines."""

import gzip
import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SHARED = Path(os.environ.get("CLIPTOK_SHARED") or Path(__file__).resolve().parents[3] / "shared")
LINES = 341_352
"""Texts of all corpora together, each in four profiles."""


class Corpus(NamedTuple):
    """One file, by its path below the folder of corpora."""

    name: str

    def texts(self) -> list[str]:
        r"""A `.json` file is its list of strings, a file of `6_long` one text, any other is split at "\\n" alone."""
        path = SHARED / "corpora" / self.name
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if path.suffix == ".json":
            return [text for text in json.loads(raw) if isinstance(text, str)]
        if self.name.startswith("6_long/"):
            return [raw.decode()]
        return raw.decode().split("\n")[:-1]

    def reference(self, profile: str) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """All ids joined, and where each line's begin and end: line i has ids[offsets[i]:offsets[i + 1]].

        On these corpora OpenAI's tokenizer gives what open_clip's gives, so `openai` has no files of its own.
        """
        folder = "open_clip" if profile == "openai" else profile
        with np.load(SHARED / "refs" / folder / (self.name.replace("/", "__") + ".npz")) as file:
            return file["ids"], np.concatenate([[0], file["ends"]])


def corpora() -> list[Corpus]:
    """Every corpus, by name."""
    root = SHARED / "corpora"
    files = (path for path in root.rglob("*") if path.suffix in (".txt", ".gz", ".json"))
    return [Corpus(path.relative_to(root).as_posix()) for path in sorted(files)]


def unequal_lines(
    got: tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]],
    expected: tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]],
) -> list[int]:
    """The numbers of the lines whose ids differ. Both have one entry for each line."""
    (ids, offsets), (expected_ids, expected_offsets) = got, expected
    if np.array_equal(offsets, expected_offsets) and np.array_equal(ids, expected_ids):
        return []
    assert len(offsets) == len(expected_offsets)
    return [
        line
        for line in range(len(offsets) - 1)
        if not np.array_equal(
            ids[offsets[line] : offsets[line + 1]],
            expected_ids[expected_offsets[line] : expected_offsets[line + 1]],
        )
    ]
