"""Quotes in CSV, strict, beside a naive twin that looks at one byte after the other."""

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliptok._common.errors import BadInputError
from cliptok.batch.reading.quotes import StrictQuotes

Verdict = tuple[str, int] | None


def naive(data: bytes, delimiter: bytes = b",") -> Verdict:
    """What is wrong with the quotes of a file, and in which line."""
    state, line, opened = "field begins", 1, 0
    for at in range(len(data) + 1):
        byte = data[at : at + 1]
        ends = byte in (delimiter, b"\n", b"\r", b"")
        if state == "field begins":
            if byte == b'"':
                state, opened = "quoted", line
            elif not ends:
                state = "plain"
        elif state == "plain":
            state = "field begins" if ends else "plain"
        elif state == "quoted":
            if not byte:
                return "never closed", opened
            state = "closed" if byte == b'"' else "quoted"
        elif byte == b'"':
            state = "quoted"
        elif ends:
            state = "field begins"
        else:
            return "text follows", line
        line += byte == b"\n"
    return None


def strict(data: bytes, size: int) -> tuple[Verdict, bytes]:
    stream, read = StrictQuotes(io.BytesIO(data), ","), b""
    try:
        while block := stream.read(size):
            assert len(block) <= size
            read += block
    except BadInputError as error:
        message = str(error)
        what = "never closed" if "never closed" in message else "text follows"
        found = re.match(r"line (\d+)", message)
        assert found is not None
        return (what, int(found[1])), read
    return None, read


@given(st.lists(st.sampled_from([b'"', b'"', b'"', b",", b"\n", b"a", b"\r"]), max_size=16), st.integers(1, 20))
def test_as_the_naive_twin_in_blocks_of_any_size(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    verdict, read = strict(data, size)
    assert verdict == naive(data)
    assert verdict is not None or read == data


@pytest.mark.parametrize(
    "data",
    [b'a,"b"\n"c ""d""",e\n', b'5" screen,6" wide\n', b'"",""\n', b'"two\nlines",x\n', b'x,a "quoted" word\n', b""],
)
def test_sound_files_pass(data: bytes) -> None:
    for size in (1, 3, 100):
        assert strict(data, size) == (None, data)
