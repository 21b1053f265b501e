"""Files of texts, and what batch jobs must make of them."""

import gzip
import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cliptok import Tokenizer

TEXTS = [
    "a photo of a cat",
    "",
    "It's “quoted”, “&amp;” 日本語",
    "very " * 100 + "long",
    " \ttabs\r",
    "<|endoftext|>",
    'a "b"',
]


def expected(texts: Sequence[str], max_length: int = 77) -> list[list[int]]:
    """The ids of each text, cut."""
    found: list[list[int]] = Tokenizer()(list(texts), truncation=True, max_length=max_length)["input_ids"]
    return found


def text_file(texts: Sequence[str]) -> bytes:
    return "".join(f"{text}\n" for text in texts).encode()


def json_lines(texts: Sequence[str | None]) -> bytes:
    rows = ({"id": number, "caption": text, "more": {"a": [number]}} for number, text in enumerate(texts))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def csv(texts: Sequence[str], comma: str = ",") -> bytes:
    quoted = (text.replace('"', '""') for text in texts)
    rows = "".join(f'{number:03}{comma}"{text}"\n' for number, text in enumerate(quoted))
    return f"id{comma}caption\n{rows}".encode()


def tar(texts: Sequence[str | bytes | None], **extra: bytes) -> bytes:
    """A WebDataset archive. A sample whose text is None has no caption."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for number, text in enumerate(texts):
            files = {"jpg": b"\xff\xd8" * number, "txt": text.encode() if isinstance(text, str) else text, **extra}
            for extension, content in files.items():
                if content is not None:
                    member = tarfile.TarInfo(f"data/{number:06}.{extension}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def parquet(path: Path, texts: Any, kind: pa.DataType | None = None, **options: Any) -> Path:
    """A file with the columns `id` and `caption`."""
    captions = pa.array(texts, pa.string() if kind is None or pa.types.is_dictionary(kind) else kind)
    captions = captions.cast(kind) if kind is not None else captions
    pq.write_table(pa.table({"id": range(len(texts)), "caption": captions}), path, **options)
    return path


def packed(content: bytes, compression: str) -> bytes:
    """The content as a file of that suffix holds it."""
    if compression == "gz":
        return gzip.compress(content)
    if compression == "xz":
        import lzma

        return lzma.compress(content)
    if not compression:
        return content
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, {"zst": "zstd", "bz2": "bz2"}[compression]) as stream:
        stream.write(content)
    return bytes(sink.getvalue())


def ids_in(path: Path) -> list[list[int]]:
    """The lists of a Parquet output."""
    found: list[list[int]] = pq.read_table(path).column("input_ids").to_pylist()
    return found


def tree(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, hidden files too."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
