"""Optional dependencies, and the extras of the package that install them."""

from importlib.util import find_spec

_EXTRAS = {
    "torch": "torch",
    "safetensors": "torch",
    "huggingface_hub": "hub",
    "pyarrow": "batch",
    "tqdm": "batch",
    "ray": "ray",
    "fsspec": "stores",
    "aiohttp": "stores",
    "lmdb": "cache",
    "lance": "lance",
}


def need(what: str, *modules: str) -> None:
    """Raise ImportError that names all of these modules that are missing, and the extras that install them."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ImportError(f"{what} needs {' and '.join(missing)}; {how_to_install(missing)}")


def how_to_install(missing: list[str]) -> str:
    """The command that installs modules: by the extras of this package where it has one for each."""
    if not all(module in _EXTRAS for module in missing):
        return f"pip install {' '.join(missing)}"
    extras = ",".join(sorted({_EXTRAS[module] for module in missing}))
    return f"pip install 'cliptok[{extras}]', or cliptok[all] for everything"
