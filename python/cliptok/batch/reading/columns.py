"""Which columns of a table are read, and which can be."""

import pyarrow as pa
import pyarrow.types

from cliptok._common.errors import BadInputError
from cliptok._common.json_files import some


def choose_columns(column: str, keep: list[str], names: list[str]) -> list[str]:
    """The texts' column, then the columns to keep."""
    others = [name for name in names if name != column] if keep == ["*"] else keep
    for name in (column, *others):
        if names.count(name) != 1:
            what = "is no column" if name not in names else "is more than one column"
            raise BadInputError(f"{name!r} {what}; there are {some(names) or 'none'}")
    return [column, *others]


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type is read as texts: strings, bytes that must be UTF-8, and nothing but nulls."""
    kinds = pyarrow.types
    if kinds.is_dictionary(kind):
        return is_text(kind.value_type)
    checks = (
        kinds.is_string,
        kinds.is_large_string,
        kinds.is_string_view,
        kinds.is_binary,
        kinds.is_large_binary,
        kinds.is_null,
    )
    return any(check(kind) for check in checks)


def is_bytes(kind: pa.DataType) -> bool:
    """Whether it has bytes, which may be texts or anything else."""
    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))
