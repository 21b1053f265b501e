"""Whether the peers give our ids, asked before anything is timed."""

import numpy as np
import numpy.typing as npt
from case import Agreement, Bench, tokenizer
from peers import WIDTH, Peer

CHUNK = 8192
"""Texts compared at a time: some peers' answers are large."""


class IdsDifferError(Exception):
    """A reference gave other ids. Nothing is timed then."""


def agree(bench: Bench, names: tuple[str, ...], texts: list[str]) -> list[Agreement]:
    """Compare every row of every text with each peer that does CLIP.

    A peer that is its profile's reference must give the same; another one's differences are counted.

    Raises IdsDifferError.
    """
    found = []
    for name in names:
        peer = bench.peer(name)
        for profile in peer.profiles if peer is not None else ():
            assert peer is not None
            agreement = _compare(peer, profile, texts)
            if agreement.unequal and peer.exact:
                raise IdsDifferError(str(agreement))
            found.append(agreement)
    return found


def _compare(peer: Peer, profile: str, texts: list[str]) -> Agreement:
    agreement = Agreement(peer.name, profile, len(texts), 0)
    for begin in range(0, len(texts), CHUNK):
        chunk = texts[begin : begin + CHUNK]
        unequal = (peer.rows_array(chunk) != _ours(chunk, profile, peer.pad)).any(1)
        if unequal.any() and not agreement.example:
            agreement.example = chunk[int(unequal.argmax())][:200]
        agreement.unequal += int(unequal.sum())
    return agreement


def _ours(texts: list[str], profile: str, pad: int) -> npt.NDArray[np.int64]:
    rows, lengths = tokenizer(profile).encode_batch(texts, WIDTH, return_lengths=True, truncate=True)
    result: npt.NDArray[np.int64] = np.where(np.arange(WIDTH) < lengths[:, None], rows, pad)
    return result
