"""Write the bundled CLIP merges, rust/engine/data/merges.bin, from the published open_clip_torch wheel.

usage: python scripts/make_vocabulary.py [WHEEL]

Without WHEEL, pip downloads it. The file holds the merges in rank order, each as the two ids it joins (16 bits, little
endian). The ids need no table: 0 to 255 are the single bytes in CLIP's order, 256 to 511 the same at the end of a
word, and merge number r makes id 512 + r. The merges were made by OpenAI (github.com/openai/CLIP) under the MIT
licence; rust/engine/data/LICENSE-CLIP keeps the notice that the wheel carries.
"""

import gzip
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import zipfile

VERSION = "3.3.0"
WHEEL_SHA256 = "c549ad5ed6bfc119cc11105033c0a2b9d7a2a4afeb40a58a09aab3da1a0043ce"
DATA = pathlib.Path(__file__).parents[1] / "rust/engine/data"
MERGES = 49152 - 256 - 2


def byte_letters() -> list[str]:
    """CLIP's letter for each byte-level id: the printable Latin-1 characters first, then 256 and on for the rest."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def merge_ids(lines: list[str]) -> bytes:
    letters = byte_letters()
    ids = {token: i for i, token in enumerate(letters + [letter + "</w>" for letter in letters])}
    out = bytearray()
    for line in lines:
        left, right = line.split(" ")
        # The engine may merge equal pairs one by one, left to right, only because a pair never ranks before the
        # merges that made its halves: both are known by now.
        out += ids[left].to_bytes(2, "little") + ids[right].to_bytes(2, "little")
        assert left + right not in ids, f"two merges make {left + right!r}"
        ids[left + right] = len(ids)
    assert len(ids) == 512 + MERGES
    return bytes(out)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        if len(sys.argv) > 1:
            wheel = pathlib.Path(sys.argv[1])
        else:
            pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder]
            subprocess.run([*pip, f"open_clip_torch=={VERSION}"], check=True)
            wheel = next(pathlib.Path(folder).glob("*.whl"))
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != WHEEL_SHA256:
            sys.exit(f"make_vocabulary.py: {wheel.name} has sha256 {found}, expected {WHEEL_SHA256}")
        with zipfile.ZipFile(wheel) as archive:
            text = gzip.decompress(archive.read("open_clip/bpe_simple_vocab_16e6.txt.gz")).decode()
            (licence,) = [n for n in archive.namelist() if n.endswith("/LICENSE")]
            notice = archive.read(licence)
    merges = merge_ids(text.split("\n")[1 : MERGES + 1])
    (DATA / "merges.bin").write_bytes(merges)
    (DATA / "LICENSE-CLIP").write_bytes(notice)
    print(f"merges.bin: {MERGES} merges, {len(merges)} bytes")


if __name__ == "__main__":
    main()
