"""Two thousand damaged files of every format: exit status 0 or 2, one line that names the file, no traceback."""

import random
import re
from pathlib import Path

import pytest

from cliptok.cli import main
from support.made import csv, json_lines, packed, parquet, tar, text_file

PLACE = re.compile(r"line \d|row \d|byte \d|sample|column|member|footer|the file is empty|end of (file|data)|first row")
"""Where in a file the damage is, as an error says it."""
TEXTS = ["a photo of a cat", "", "It's “quoted”, “&amp;” 日本語", 'a "b"', "very " * 40] * 8


def sound(folder: Path) -> dict[str, bytes]:
    """A file of each format and compression, by its ending."""
    parquet(folder / "sound.parquet", TEXTS, write_page_checksum=True)
    plain = {"txt": text_file(TEXTS), "jsonl": json_lines(TEXTS), "csv": csv(TEXTS), "tsv": csv(TEXTS, "\t")}
    plain["tar"] = tar(TEXTS)
    found = {"parquet": (folder / "sound.parquet").read_bytes(), **plain}
    for compression in ("gz", "zst", "bz2", "xz"):
        for kind in ("txt", "jsonl", "csv", "tar"):
            found[f"{kind}.{compression}"] = packed(plain[kind], compression)
    return found


def damaged(content: bytes, pick: random.Random) -> bytes:
    """A few bytes changed, or a part taken out, doubled, or put elsewhere, or the end missing."""
    at, other = sorted(pick.randrange(len(content) + 1) for _ in range(2))
    way = pick.randrange(6)
    if way == 0:
        changed = bytearray(content)
        for _ in range(pick.randrange(1, 9)):
            changed[pick.randrange(len(changed))] = pick.randrange(256)
        return bytes(changed)
    if way == 1:
        return content[:at]
    if way == 2:
        return content[:at] + content[other:]
    if way == 3:
        return content[:other] + content[at:]
    if way == 4:
        return content[:at] + bytes(pick.randrange(256) for _ in range(pick.randrange(1, 40))) + content[at:]
    return content[:at] + bytes(other - at) + content[other:]


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pick, files = random.Random(seed), sound(tmp_path)
    statuses = {0: 0, 2: 0}
    for number in range(500):
        ending = pick.choice(sorted(files))
        path = tmp_path / f"bad.{ending}"
        path.write_bytes(damaged(files[ending], pick))
        column = [] if ending.startswith(("txt", "tar")) else ["--column", "caption"]
        how = pick.choice(
            [
                ["count"],
                ["tokenize"],
                ["tokenize", "--overwrite", "-o", str(tmp_path / "ids.parquet")],
                ["show", "--file"],
                ["report", "-o", str(tmp_path / "page.html")],
            ]
        )
        status = main([*how, str(path), *column])
        error = capsys.readouterr().err
        statuses[status] += 1
        if status == 2:
            assert error.count("\n") == 1 and str(path) in error, (number, ending, error)
            assert PLACE.search(error.replace(str(path), "")), (number, ending, error)
            assert "unexpected" not in error or "unexpected end" in error.lower(), (number, ending, error)
    assert min(statuses.values()) > 20
