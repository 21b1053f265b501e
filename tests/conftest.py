"""What the tests share: the references, the corpora beside the repository, tokenizers, and where hypothesis stands.

A reference or a corpus that is missing skips the tests that need it, and says so; where CI is set it fails them.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from cliptok import Tokenizer
from support.corpora import SHARED, Corpus, corpora
from support.references import PROFILES
from support.shared import live, missing, tokenizer

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # Workers use all cores; torch's threads would wait for each other's.
os.environ.setdefault("HF_HUB_OFFLINE", "1")  # No test needs the network.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # And tokenizers warns of forks unless it is set.

# The same examples in every run: a failure is about the change at hand, not about luck. CLIPTOK_RANDOM=1 explores.
_QUIET = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
_RANDOM = bool(os.environ.get("CLIPTOK_RANDOM"))
settings.register_profile(
    "cliptok",
    deadline=None,
    derandomize=not _RANDOM,
    database=None,
    print_blob=True,
    max_examples=20_000 if _RANDOM else 100,
    suppress_health_check=_QUIET,
)
settings.load_profile("cliptok")


@pytest.fixture(params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    """Each profile in turn."""
    return str(request.param)


@pytest.fixture
def tok(profile: str) -> Tokenizer:
    """The shared tokenizer of each profile in turn."""
    return tokenizer(profile)


@pytest.fixture(scope="session")
def all_corpora() -> list[Corpus]:
    """Every corpus, its lines and where its reference ids are."""
    if not (SHARED / "corpora").is_dir() or not (SHARED / "refs").is_dir():
        missing(f"no corpora and refs in {SHARED}; set CLIPTOK_SHARED to the folder that has both")
    return corpora()


@pytest.fixture(scope="session")
def hf() -> Any:
    """transformers 5's CLIPTokenizer."""
    return live("transformers").tok


@pytest.fixture
def slow() -> Iterator[Any]:
    """transformers 4.57's slow tokenizer, in its process; back to CLIP's own after the test."""
    found = live("transformers-slow")
    yield found
    found.do("use_clip")
