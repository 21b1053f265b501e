"""The zero-shot classifier against open_clip's."""

from __future__ import annotations

import pytest
import torch

NAMES = ["tench", "goldfish", "great white shark", "tiger shark"]
TEMPLATES = ["a photo of a {}.", "a drawing of the {}.", "{}", "a photo of the small {}."]


@pytest.mark.parametrize("window", [1, 9, 10_000])
def test_equals_open_clip(small, tokenizer, window):
    open_clip = pytest.importorskip("open_clip")
    from torch.nn.functional import normalize

    class Model:
        def encode_text(self, ids, normalize_=None, **options):
            embeds = small(ids).text_embeds
            return normalize(embeds, dim=-1) if options["normalize"] else embeds

    def tokenize(texts):
        return tokenizer(texts, padding="max_length", max_length=77, return_tensors="pt").input_ids

    expected = open_clip.build_zero_shot_classifier(Model(), tokenize, NAMES, TEMPLATES)
    got = small.zero_shot(NAMES, TEMPLATES, tokenizer, window=window)
    assert got.shape == (4, 48)
    torch.testing.assert_close(got, expected.T, rtol=1e-5, atol=1e-6)
    called = small.zero_shot(NAMES, [t.format for t in TEMPLATES], tokenizer)
    torch.testing.assert_close(called, got, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("names", "templates", "message"),
    [
        ([], TEMPLATES, "class_names must be"),
        ("tench", TEMPLATES, "class_names must be"),
        (NAMES, [], "templates must be"),
        (NAMES, ["a {}", "a photo"], r"templates\[1\] has no place"),
    ],
)
def test_bad_arguments(small, tokenizer, names, templates, message):
    with pytest.raises(ValueError, match=message):
        small.zero_shot(names, templates, tokenizer)
