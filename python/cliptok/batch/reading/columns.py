"""Which columns of a table are read."""

from cliptok._common.errors import BadInputError


def choose_columns(column: str, keep: list[str], names: list[str]) -> list[str]:
    """The texts' column, then the columns to keep."""
    others = [name for name in names if name != column] if keep == ["*"] else keep
    for name in (column, *others):
        if names.count(name) != 1:
            what = "is no column" if name not in names else "is more than one column"
            raise BadInputError(f"{name!r} {what}; there are {', '.join(names)}")
    return [column, *others]
