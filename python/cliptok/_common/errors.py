"""The error of everything that is wrong with files and the arguments that name them, and messages that can be shown."""

from contextlib import ContextDecorator
from types import TracebackType


class BadInputError(ValueError):
    """Input that cannot be read as asked. The message names the file, and the row where there is one."""


MAX_MESSAGE = 2000
MAX_WORD = 400
"""Characters of an error's message, and of a word in it: the name of a tensor or token in a file may have a million."""


def printable(text: str) -> str:
    """The text on one line: what cannot be printed is escaped, and of long words and texts the middle is left out."""
    text = _shortened(" ".join(_shortened(word, MAX_WORD) for word in text.split(" ")), MAX_MESSAGE)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most * 3 // 4]}...{text[-most // 4 + 3 :]}"


class PrintableErrors(ContextDecorator):
    """A context, or a decorator, in which the message of every ValueError is `printable`, whatever names a file has."""

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ValueError) and len(error.args) == 1:
            error.args = (printable(str(error)),)


def is_out_of_memory(error: Exception) -> bool:
    """Also where torch says so, in words of its allocators or of the driver, in errors of no common class."""
    said = str(error) if isinstance(error, RuntimeError) else ""
    return isinstance(error, MemoryError) or "out of memory" in said or "you tried to allocate" in said
