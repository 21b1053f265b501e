"""JSON lines."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json

from cliptok._common.errors import BadInputError
from cliptok._common.json_files import some
from cliptok.batch.reading.json_objects import line_starts, parsed, read_objects
from cliptok.batch.reading.lines import BLOCK, blocks_of_lines
from cliptok.batch.reading.places import Place, Raw
from cliptok.batch.reading.streams import BYTE_ORDER_MARK, Prefixed, Source

_FIRST = 1 << 17
_FIRST_LINES = 100


def read_json_lines(source: Source, column: str, keep: list[str], lists: bool, place: Place) -> Iterator[Raw]:
    """Each line is an object; missing fields are null. Kept fields have the types inferred from the first block.

    The texts' field is a string, or with `lists` a list of them.
    """
    schema: pa.Schema | None = None
    if place.offset and keep:
        schema = _schema_of_first_block(source, column, keep, lists)
    elif not place.offset:
        _check_field(source, column)
    row, line = place.row, place.line
    for block, offset in blocks_of_lines(source.stream, place.offset):
        starts = line_starts(block)
        if not block.isspace():
            table = _objects(block, starts, line, column, keep, lists, schema)
            schema = table.schema
            yield Raw(table, source.position(), source.place(row, offset, line))
            row += len(table)
        line += len(starts)
    if schema is None:
        yield Raw(pa.table({column: pa.nulls(0, pa.string())}), 0, place)


def _objects(
    block: bytes,
    starts: "npt.NDArray[np.int64]",
    line: int,
    column: str,
    keep: list[str],
    lists: bool,
    schema: pa.Schema | None,
) -> pa.Table:
    """The objects of a block whose lines begin at `starts`, the first with the number `line`.

    The table has the texts, then the fields to keep as in `schema`, if given.
    """
    known = [(column, pa.list_(pa.string()) if lists else pa.string())]
    # What was text stays text, also where all texts of a block look like times.
    known += [(field.name, field.type) for field in list(schema or ())[1:] if pa.types.is_string(field.type)]
    options = pa.json.ParseOptions(
        explicit_schema=pa.schema(known), unexpected_field_behavior="infer" if keep else "ignore"
    )
    table = _chosen(read_objects(block, starts, line, options, column, lists), column, keep)
    try:
        return table if schema is None else table.cast(schema)
    except (ValueError, NotImplementedError) as error:
        types = ", ".join(f"{field.name} {field.type}" for field in list(schema or ())[1:])
        raise BadInputError(f"after line {line - 1}, the fields to keep are not {types}: {error}") from error


def _schema_of_first_block(source: Source, column: str, keep: list[str], lists: bool) -> pa.Schema | None:
    """The types of the fields, where reading does not begin with the first block. Reading goes on where it was."""
    before = source.raw.tell()
    source.raw.seek(0)
    stream = Prefixed(source.raw)
    if stream.peek(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK:
        stream.read(len(BYTE_ORDER_MARK))
    blocks = (block for block, _ in blocks_of_lines(stream, 0) if not block.isspace())
    first = next(blocks, None)
    source.raw.seek(before)
    return None if first is None else _objects(first, line_starts(first), 1, column, keep, lists, None).schema


def _check_field(source: Source, column: str) -> None:
    """Raise BadInputError for a field that no line has, where the beginning of the stream is all of it."""
    seen = source.stream.peek(_FIRST)
    if len(seen) == _FIRST or not seen.strip():
        return
    names: dict[str, None] = {}
    for line in seen.splitlines():
        try:
            value = parsed(line)
        except (ValueError, RecursionError):
            return  # Reading names the line.
        if not isinstance(value, dict):
            return
        names.update(dict.fromkeys(value))
    if column not in names:
        raise BadInputError(f"no line has the field {column!r}; there are {some(names) or 'none'}")


def json_fields(source: Source, lists: bool) -> list[str]:
    """The fields that are strings, or lists, in the first lines and nothing else there, which stay in the stream."""
    kinds: dict[str, set[type]] = {}
    lines = source.stream.peek(_FIRST).split(b"\n")[:-1][:_FIRST_LINES] or [source.stream.peek(BLOCK)]
    for number, line in enumerate(lines, 1):
        try:
            value = parsed(line) if line.strip() else {}
        except (ValueError, RecursionError) as error:
            raise BadInputError(f"line {number} is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise BadInputError(f"line {number} is no JSON object")
        for name, field in value.items():
            kinds.setdefault(name, set()).add(type(field))
    wanted: type = list if lists else str
    return [name for name, found in kinds.items() if wanted in found and found <= {wanted, type(None)}]


def _chosen(table: pa.Table, column: str, keep: list[str]) -> pa.Table:
    """The texts, then the fields to keep. A field that no line of a block has is null."""
    others = [name for name in table.column_names if name != column] if keep == ["*"] else keep
    there = set(table.column_names)
    nulls = pa.nulls(len(table))
    return pa.table(
        [table.column(name) if name in there else nulls for name in (column, *others)], names=[column, *others]
    )
