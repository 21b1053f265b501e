"""Some seconds of damaged files of every kind; `make fuzz` and the weekly workflow run more."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random
from typing import Any

import pytest

from fuzz.damage import damaged
from fuzz.targets import NAMES, Target, check, targets

COUNT = {"job": 80, "record": 100, "tokenizer": 60, "pipeline": 30}


@pytest.fixture(scope="module")
def all_targets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Target]]:
    folder = tmp_path_factory.mktemp("fuzz")
    return folder, targets(folder)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_damaged_files(all_targets: Any, name: str) -> None:
    folder, found = all_targets
    target, pick = found[name], Random(name)
    assert set(found) == set(NAMES)
    for file, content in target.sound.items():
        if file != "x.pt":  # an archive of no text tower
            assert check(target, folder / name, file, content), file
    for _ in range(COUNT.get(name, 150)):
        file = pick.choice(sorted(target.sound))
        check(target, folder / name, file, damaged(target.sound[file], pick))


def test_found_before(all_targets: Any) -> None:
    """Kept: a member of an archive before the file begins, and a shard whose name no system takes."""
    folder, found = all_targets
    content = found["weights"].sound["x.pt"]
    at = content.rindex(b"PK\x05\x06") + 16
    moved = content[:at] + struct.pack("<I", struct.unpack("<I", content[at : at + 4])[0] + 90) + content[at + 4 :]
    assert not check(found["weights"], folder / "weights", "x.pt", moved)
    long = b'{"weight_map": {"a": "' + b"a" * 300 + b'"}}'
    assert not check(found["index"], folder / "index", "model.safetensors.index.json", long)
