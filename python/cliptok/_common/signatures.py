"""What the first bytes of a file say: binary formats that are no text, and whether lines are JSON."""

import json
import re

from cliptok._common.errors import BadInputError

_SIGNATURES = (
    (re.compile(rb"PAR1[\x00-\x1f\x80-\xff]"), "Parquet", "name it .parquet or pass --input-format parquet"),
    (re.compile(rb"ARROW1\0\0"), "an Arrow file", "name it .arrow or pass --input-format arrow"),
    (re.compile(rb"\x1f\x8b\x08"), "compressed by gzip", "name it .gz after its own ending, as in .jsonl.gz"),
    (re.compile(rb"\x28\xb5\x2f\xfd"), "compressed by zstd", "name it .zst after its own ending, as in .jsonl.zst"),
    (re.compile(rb"BZh[1-9]1AY&SY"), "compressed by bzip2", "name it .bz2 after its own ending, as in .jsonl.bz2"),
    (re.compile(rb"\xfd7zXZ\0"), "compressed by xz", "name it .xz after its own ending, as in .jsonl.xz"),
    (re.compile(rb"PK\x03\x04"), "a zip archive", "unpack it"),
    (re.compile(rb"\x93NUMPY"), "a NumPy array", "cliptok reads texts"),
    (re.compile(rb"(?s).{257}ustar"), "a tar archive", "name it .tar or pass --input-format tar"),
    (
        re.compile(rb"\xff\xfe\0\0|\0\0\xfe\xff|(\0\0\0[ -~]){2}"),
        "UTF-32",
        "convert it to UTF-8, as in iconv -f UTF-32 -t UTF-8",
    ),
    (re.compile(rb"\xff\xfe|\xfe\xff"), "UTF-16", "convert it to UTF-8, as in iconv -f UTF-16 -t UTF-8"),
    # Without a byte order mark, where it begins with ASCII.
    (re.compile(rb"([ -~]\0){4}"), "UTF-16", "convert it to UTF-8, as in iconv -f UTF-16LE -t UTF-8"),
    (re.compile(rb"(\0[ -~]){4}"), "UTF-16", "convert it to UTF-8, as in iconv -f UTF-16BE -t UTF-8"),
    (re.compile(rb"([ -~]\0\0\0){2}"), "UTF-32", "convert it to UTF-8, as in iconv -f UTF-32LE -t UTF-8"),
)


def check_is_text(first: bytes) -> None:
    """Raise BadInputError that says what a file is, where its first bytes are those of a binary format."""
    for signature, what, remedy in _SIGNATURES:
        if signature.match(first):
            raise BadInputError(f"this is {what}, not text; {remedy}")


def format_of_stream(first: bytes, column: str | None) -> str:
    """The format of a stream of text whose name says nothing, where its beginning leaves no doubt.

    Lines are texts unless the first is a JSON object. Raises BadInputError that asks for the format else.
    """
    line = first.partition(b"\n")[0]
    is_json = line.lstrip().startswith(b"{") and (len(line) == len(first) or _is_object(line))
    if column is None and is_json:
        raise BadInputError(
            "the first line is a JSON object; name the field with the texts (--column), or pass --input-format txt to"
            " read each line as a text"
        )
    if column is None:
        return "txt"
    if is_json:
        return "jsonl"
    raise BadInputError(f"column {column!r} of what? Pass --input-format: jsonl, csv or tsv")


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
