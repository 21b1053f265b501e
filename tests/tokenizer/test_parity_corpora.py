"""Ids equal the references' on every line of every corpus, and the command that says so."""

import os
import subprocess
import sys
from pathlib import Path

from support.corpora import LINES, SHARED, Corpus, unequal_lines
from support.references import PROFILES
from support.shared import missing, tokenizer


def test_every_line_of_every_corpus(all_corpora: list[Corpus]) -> None:
    wrong: list[str] = []
    lines = 0
    for corpus in all_corpora:
        texts = corpus.texts()
        lines += len(texts)
        for profile in PROFILES:
            packed = tokenizer(profile).encode_packed(texts)
            unequal = unequal_lines(packed, corpus.reference(profile))
            wrong += [f"{profile} {corpus.name}:{line + 1} {texts[line][:100]!r}" for line in unequal]
    assert not wrong, f"{len(wrong)} lines:\n" + "\n".join(wrong[:20])
    assert lines == LINES


def test_a_changed_id_and_a_missing_id_are_seen(all_corpora: list[Corpus]) -> None:
    """The comparison itself: it has to notice what it is there for."""
    corpus = next(corpus for corpus in all_corpora if corpus.name == "3_imagenet/templates.txt")
    ids, offsets = corpus.reference("transformers")
    changed = ids.copy()
    changed[offsets[7] + 1] += 1
    assert unequal_lines((changed, offsets), (ids, offsets)) == [7]
    shorter = offsets.copy()
    shorter[8:] -= 1
    gone = [i for i in range(len(ids)) if i != offsets[7] + 1]
    assert unequal_lines((ids[gone], shorter), (ids, offsets)) == [7]


def test_parity_fails_without_corpora(tmp_path: Path) -> None:
    script = Path(__file__).parents[1] / "parity.py"
    if not SHARED.is_dir():
        missing("no corpora")
    done = subprocess.run(
        [sys.executable, script], env={**os.environ, "CLIPTOK_SHARED": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "no corpora" in done.stderr
