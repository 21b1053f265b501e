"""ImageNet's names and templates, as open_clip has them, and zero-shot classification in three lines."""

import pytest

from cliptok.data.imagenet import CLASS_NAMES, SIMPLE_TEMPLATES, TEMPLATES


def test_as_open_clip_has_them() -> None:
    theirs = pytest.importorskip("open_clip.zero_shot_metadata")
    assert list(CLASS_NAMES) == list(theirs.IMAGENET_CLASSNAMES)
    for ours, functions in ((TEMPLATES, "OPENAI_IMAGENET_TEMPLATES"), (SIMPLE_TEMPLATES, "SIMPLE_IMAGENET_TEMPLATES")):
        assert [template.format("cat") for template in ours] == [make("cat") for make in getattr(theirs, functions)]


def test_zero_shot() -> None:
    torch = pytest.importorskip("torch")
    from cliptok import TextEncoder
    from cliptok.encoder import TextConfig

    encoder = TextEncoder(TextConfig(width=64, layers=1, heads=4, mlp=128, projection=32)).eval()
    weights = encoder.zero_shot(CLASS_NAMES[:20], SIMPLE_TEMPLATES)
    assert weights.shape == (20, 32)
    torch.testing.assert_close(weights.norm(dim=1), torch.ones(20))
