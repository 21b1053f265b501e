"""The design's map names files that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_map_names_files_that_exist() -> None:
    design = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    table = design.split("### Where is it?")[1].split("###")[0]
    rows = [line for line in table.splitlines() if line.startswith("| Where")]
    assert len(rows) >= 10
    for row in rows:
        files = re.findall(r"`([\w./]+/[\w./]*)`", row)
        assert files, row
        for file in files:
            assert (ROOT / file).exists() or (ROOT / "python/cliptok" / file).exists(), file
