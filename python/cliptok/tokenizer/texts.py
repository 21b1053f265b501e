"""What a batch of texts may be, and how many threads it gets."""

import os
import sys
from collections.abc import Iterable, Mapping, Set
from typing import Any

SMALL_BATCH = 64
"""Below this many texts the engine would not share them out anyway."""
_MOST_THREADS = 1 << 10  # More are as good as these.
LONG_TEXTS = 1 << 19
"""So many characters are worth a second thread, in however few texts."""


def as_batch(texts: Any) -> Any:
    """`texts` as something the engine takes: a list or tuple, or an Arrow column as it is. A str is a batch of one.

    Any other iterable of str becomes a list. The engine looks at each row and names the first that is no str.

    Raises TypeError for what cannot be a batch: None, bytes, a number, a mapping, a set.
    """
    if isinstance(texts, (list, tuple)):
        return texts
    if isinstance(texts, str):
        return (texts,)
    kind = type(texts)
    if hasattr(kind, "columns") or hasattr(kind, "column_names"):
        raise TypeError(_no_column(texts, texts.columns if hasattr(kind, "columns") else texts.column_names))
    if hasattr(texts, "__arrow_c_stream__") or hasattr(texts, "__arrow_c_array__"):
        return texts
    if isinstance(texts, Mapping):
        raise TypeError(_no_column(texts, texts))
    unordered = isinstance(texts, (bytes, bytearray, memoryview, Set))
    if unordered or not isinstance(texts, Iterable):
        raise TypeError(f"texts is {_named(texts)}; expected str, a sequence of str or an Arrow string column")
    return texts.tolist() if hasattr(texts, "tolist") else list(texts)


def _no_column(table: Any, columns: Any) -> str:
    """The error for a table in the place of one of its columns: which one has texts."""
    names = [name for name in getattr(table, "column_names", columns) if isinstance(name, str)]
    if isinstance(table, Mapping) and any(hasattr(type(value), "column_names") for value in table.values()):
        return f"texts is a {_named(table)} of tables; expected one column of one, as in texts[{names[0]!r}]['caption']"
    able = [name for name in names if _holds_texts(table, name)]
    hint = f"texts[{able[0]!r}]" if able else "texts['caption']"
    has = ", ".join(map(repr, names)) or "no columns"
    return f"texts is a {_named(table)} with {has}; expected one column, as in {hint}"


def _holds_texts(table: Any, name: str) -> bool:
    try:
        first = next(iter(table[name]))
    except (TypeError, KeyError, StopIteration):
        return False
    return isinstance(first, str) or isinstance(getattr(first, "as_py", lambda: None)(), str)


def nulls_are_empty(on_null: str) -> bool:
    """Whether a None or a null is an empty text rather than an error; ValueError for any other policy."""
    if on_null not in ("error", "empty"):
        raise ValueError(f"on_null is {on_null!r}; choose 'error' or 'empty'")
    return on_null == "empty"


def as_text(text: object) -> str:
    """`text`, or a TypeError when it is no str."""
    if isinstance(text, str):
        return text
    raise TypeError(f"text is {_named(text)}; expected str")


def _named(value: object) -> str:
    return "None" if value is None else type(value).__name__


def threads_for(batch: Any, threads: int | None, whole: bool = False) -> int:
    """`threads` if given, else 1 for a small batch and in a torch dataloader worker, else one per available CPU.

    `whole` texts are not truncated to a row, and long ones are shared among threads.

    Raises TypeError or ValueError for anything but a positive int.
    """
    if threads is None:
        small = len(batch) < SMALL_BATCH and not (whole and _characters(batch) >= LONG_TEXTS)
        return 1 if small or _in_dataloader_worker() else available_cpus()
    if not isinstance(threads, int) or isinstance(threads, bool):
        raise TypeError(f"threads is {_named(threads)}; expected int or None")
    if threads < 1:
        raise ValueError(f"threads is {threads}; expected 1 or more")
    return min(threads, _MOST_THREADS)


def _characters(batch: Any) -> int:
    return sum(len(text) for text in batch if isinstance(text, str)) if isinstance(batch, (list, tuple)) else 0


def available_cpus() -> int:
    """The CPUs this process may run on."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def _in_dataloader_worker() -> bool:
    # A dataloader worker has imported torch.utils.data; nobody else needs to.
    data = sys.modules.get("torch.utils.data")
    return data is not None and data.get_worker_info() is not None
