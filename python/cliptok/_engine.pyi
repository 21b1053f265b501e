"""The compiled engine. It is internal: `cliptok.Tokenizer` is the surface."""

from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

__all__ = [
    "Engine",
    "Window",
    "__version__",
    "available_instructions",
    "clean",
    "compact_rows",
    "fix_text",
    "spread_rows",
]

__version__: str

# id, content, special, normalized, lstrip, rstrip, single_word
_AddedToken = tuple[int, str, bool, bool, bool, bool, bool]

def available_instructions() -> list[str]:
    """The sets of vector instructions that this machine has, the fastest first: of "avx512", "avx2", "sse", "neon", and
    always "plain".
    """

def fix_text(text: str) -> str:
    """What `ftfy.fix_text` of ftfy 6.3.1 makes of a text, with its defaults."""

def clean(text: str, profile: str) -> str:
    """What the profile's reference makes of a text before the split: ftfy, html, white space, lower case.

    In the profile `transformers`, whose reference has no such cleaning, the text itself.
    """

def compact_rows(rows: npt.NDArray[Any]) -> tuple[bytes, int, bool, int]:
    """Rows (..., width) of uint16, int32 or int64 without their padding, which is what the last number is.

    The content, row by row; how many columns of each row it has; whether its numbers are of two bytes; and the padding.
    """

def spread_rows(
    content: bytes, columns: int, is_small: bool, fill: int, shape: tuple[int, int], dtype: str
) -> npt.NDArray[Any]:
    """The rows, of a count and a width, that `compact_rows` was given."""

@final
class Engine:
    """One vocabulary, one profile and one set of added tokens. Immutable, and safe to share between threads."""

    def __new__(
        cls,
        profile: str,
        added_tokens: Sequence[_AddedToken],
        start_id: int,
        end_id: int,
        vocabulary: tuple[dict[str, int], Sequence[tuple[str, str]], str | None] | None = None,
    ) -> Engine:
        """`vocabulary` is (token to id, merges, unknown token); None takes the bundled CLIP vocabulary."""

    def with_added_tokens(self, added_tokens: Sequence[_AddedToken], start_id: int, end_id: int) -> Engine:
        """The same vocabulary and warm cache with other added tokens."""

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Ids of one text, untruncated."""

    def offsets(
        self, texts: Any, *, add_special_tokens: bool = True, null_as_empty: bool = False
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """All ids joined, the characters (total, 2) that each covers (its first, and the one behind its last; zeros for
        start and end), and n + 1 bounds: text i is ids[bounds[i]:bounds[i + 1]]. Only for the profile `transformers`.
        """

    def rows(
        self,
        texts: Any,
        width: int,
        pad_id: int,
        *,
        dtype: str = "int64",
        out: npt.NDArray[Any] | None = None,
        mask: bool = False,
        lengths: bool = False,
        add_special_tokens: bool = True,
        pad_left: bool = False,
        refuse_long: bool = False,
        null_as_empty: bool = False,
        threads: int = 1,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64] | None, npt.NDArray[np.int64] | None]:
        """One row per text: ids (n, width) of uint16, int32 or int64, and lengths (n,) and mask (n, width) on request.

        The ids are a new array, or `out`, C-contiguous and writable. Longer texts are truncated, or refused by row
        with `refuse_long`. `lengths` are the ids in each row, `mask` has ones for ids and zeros for padding. The memory
        of large new arrays is that of ones that are gone.

        Raises TypeError and ValueError that name the row or the argument at fault, and MemoryError.
        """

    def row(
        self,
        text: str,
        max_length: int | None,
        length: int,
        pad_id: int,
        add_special_tokens: bool,
        pad_left: bool,
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Ids and mask of one text, int64 (1, n): truncated to `max_length` ids if that is given, padded to `length`
        if they are fewer. For short texts and rows: Ctrl-C waits.

        Raises as `rows`, and OverflowError for a length of 65,536 or more.
        """

    def pack(
        self,
        texts: Any,
        dtype: str,
        max_length: int | None,
        *,
        add_special_tokens: bool = True,
        null_as_empty: bool = False,
        threads: int = 1,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """All ids joined, and n + 1 offsets: text i is ids[offsets[i]:offsets[i + 1]]."""

    def count(self, texts: Any, *, null_as_empty: bool = False, threads: int = 1) -> npt.NDArray[np.int64]:
        """Tokens per text, start and end included, untruncated."""

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = False) -> str:
        """Tokens joined and taken back to text, with a space for each `</w>`. Ids without a token raise ValueError."""

    def needs_cleaning(self, text: str) -> bool:
        """Whether the profile's cleaning could change the text beyond lower case and white space. False is a proof."""

    def id_to_token(self, id: int) -> str | None: ...
    def token_to_id(self, token: str) -> int | None: ...
    def vocabulary(self) -> dict[str, int]:
        """Token to id, in id order, without added tokens that are not part of the vocabulary."""

    def merges(self) -> list[tuple[str, str]]: ...
    @property
    def vocabulary_size(self) -> int: ...
    @property
    def instructions(self) -> str:
        """The vector instructions in use: the fastest available, or those that `CLIPTOK_INSTRUCTIONS` names."""

@final
class Window:
    """Distinct texts in sorted order, in batches whose common prefixes are computed once: `encoder/sharing/plan.py`."""

    def __new__(
        cls,
        ids: npt.NDArray[np.int32],
        offsets: npt.NDArray[np.int64],
        end_id: int | None,
        positions: int,
        vocabulary: int,
        first_row: int,
    ) -> Window:
        """The texts `ids[offsets[i]:offsets[i + 1]]`, each truncated behind its first `end_id`, or whole with None.

        Raises ValueError for a text without one (or without ids) or with more than `positions` ids up to it, which it
        calls row `first_row + i`, and for ids outside the vocabulary.
        """

    def __len__(self) -> int:
        """The number of distinct texts: rows."""

    def inverse(self) -> npt.NDArray[np.int64]:
        """(n,) the row of each text that was given."""

    def lengths(self) -> npt.NDArray[np.int64]:
        """(rows,) ids of each row."""

    def paths(self, start: int, stop: int) -> npt.NDArray[np.int32]:
        """(stop - start) * longest: the depth-first number of the node of each row at each position, 0 past its end."""

    def split(self, budget: int) -> list[tuple[int, int]]:
        """Ranges of consecutive rows whose tries have at most `budget` nodes (one row at least)."""

    def split_canonical(self, sizes: Sequence[tuple[int, int]]) -> list[tuple[int, int, tuple[int, int]]]:
        """The same with batches that fit canonical sizes (nodes, end-of-sequence nodes), which ascend.

        Whole batches have the largest size. What is left is padded up to a size that it fills to three quarters, or
        else first fills the size below. Raises ValueError for a row longer than every size.
        """

    def build(self, start: int, stop: int, chunk: int) -> tuple[npt.NDArray[np.int32], int, list[tuple[int, int]], int]:
        """The trie of rows `start` to `stop` for a CPU: the packed parts, U, the groups, and N without padding."""

    def build_canonical(
        self, start: int, stop: int, size: tuple[int, int], chunk: int, slots: int, out: npt.NDArray[np.int32]
    ) -> int:
        """The same for a GPU, written into `out`. Returns N without padding."""
