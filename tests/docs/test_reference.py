"""The reference is whole: what is public has a docstring, and examples in docstrings give what they say."""

import doctest
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import pytest

import cliptok

ROOT = Path(__file__).parents[2]
MODULES = [found.name for found in pkgutil.walk_packages(cliptok.__path__, "cliptok.") if "__main__" not in found.name]


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """What the site's reference is made by."""
    pytest.importorskip("griffe", reason="griffe is missing; make .venv/docs installs it")
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "site"))
    return importlib.import_module("reference")


def test_everything_public_has_a_docstring(reference: ModuleType) -> None:
    package = reference.load()
    public = [path for paths in reference.public(package).values() for path in paths]
    assert {"cliptok.Tokenizer", "cliptok.TextEncoder", "cliptok.batch.embed_files"} <= set(public)
    assert [lack for path in public for lack in reference.without_docstring(package[path[8:]])] == []


def test_a_missing_docstring_is_found(reference: ModuleType, tmp_path: Path) -> None:
    import griffe

    (tmp_path / "bare.py").write_text('class A:\n    """Has one."""\n    def f(self): ...\n    def _g(self): ...\n')
    module = griffe.load("bare", search_paths=[str(tmp_path)])
    assert [lack.partition(",")[0] for lack in reference.without_docstring(module["A"])] == ["bare.A.f"]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name: str) -> None:
    if name.startswith("cliptok.batch.on_ray"):
        pytest.importorskip("ray")
    if name.startswith("cliptok.encoder.sharing.triton_kernels."):
        pytest.importorskip("triton", exc_type=ImportError)
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0
