"""Comparing many texts with a reference at once, and saying what differs so that it can be pasted into a test."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from support.references import PROFILES
from support.shared import live, tokenizer

_CHUNK = 20_000
_SHOWN = 20


def differences(profile: str, texts: list[str]) -> list[str]:
    """A line for each text whose ids are not the reference's."""
    ids, offsets = tokenizer(profile).encode_packed(texts)
    everything, bounds = ids.tolist(), offsets.tolist()
    found = []
    for text, begin, end, expected in zip(texts, bounds, bounds[1:], live(profile).batch(texts), strict=False):
        got = everything[begin:end]
        if got != expected:
            found.append(f"{profile} {text!r}\n  expected {expected}\n  got      {got}")
    return found


def assert_equal_ids(texts: Iterable[str], profiles: Iterable[str] = PROFILES) -> None:
    """Fail unless every text has the reference's ids in every profile.

    Profiles run in threads: one of the references lives in a process of its own, so two cores have work.
    """
    profiles = sorted(profiles, key="transformers-slow".__ne__)
    for profile in profiles:  # The references are made in this thread, where a missing one skips the test.
        live(profile)
    found: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        for chunk in chunks(texts, _CHUNK):
            for differing in pool.map(differences, profiles, [chunk] * len(profiles)):
                found += differing
    assert not found, f"{len(found)} texts differ:\n" + "\n".join(found[:_SHOWN])


def chunks(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    """The texts in lists of at most `size`."""
    iterator = iter(texts)
    while chunk := list(islice(iterator, size)):
        yield chunk
