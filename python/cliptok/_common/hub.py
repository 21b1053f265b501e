"""Models of the Hugging Face hub: their files through huggingface_hub, and one error that says where was looked."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cliptok._common.extras import need

_FILES = (".safetensors", ".sft", ".bin", ".pt", ".pth", ".ckpt", ".json", ".txt")
_SECONDS = 10.0


def hub_model(name: "str | os.PathLike[str]", what: str, **options: Any) -> "HubModel":
    """The hub's model of this name, which is no file or folder here.

    `what` is what was expected, for errors. `options` are `revision`, `cache_dir`, `token`, `local_files_only` and
    `force_download`. Raises FileNotFoundError for what cannot be a hub model's name, and ImportError without
    huggingface_hub.
    """
    text = os.fspath(name)
    here = Path(text)
    if here.exists():
        raise FileNotFoundError(f"{text} is {'a folder' if here.is_dir() else 'a file'}; expected {what}")
    if text.startswith((".", "/", "~")) or text.count("/") > 1 or here.is_absolute() or here.suffix in _FILES:
        raise FileNotFoundError(f"{text}: no such file or folder, and no hub name; expected {what}")
    need(f"{text!r} is no file or folder here; loading it from the hub", "huggingface_hub")
    return HubModel(text, what, {name: value for name, value in options.items() if value is not None})


class HubModel:
    """A model on the hub, or what the cache of huggingface_hub has of it where the hub is not asked or not reached."""

    def __init__(self, name: str, what: str, options: dict[str, Any]) -> None:
        self.name, self._what, self._options = name, what, options
        self._revision = options.get("revision")
        self._listing: frozenset[str] | None = None
        self._reason = ""
        """Why there is no listing of its files, so that the cache is all that is looked at."""
        self._list()

    def find(self, file: str, subfolder: str | None = None) -> Path | None:
        """A file of it, fetched if need be; None where it has none of that name. One request found out which it has."""
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError

        path = f"{subfolder.strip('/')}/{file}" if subfolder else file
        if self._listing is not None and path not in self._listing:
            return None
        options = self._options if self._listing is not None else {**self._options, "local_files_only": True}
        try:
            return Path(hf_hub_download(self.name, file, subfolder=subfolder, **options))
        except EntryNotFoundError as error:
            if self._listing is None:  # It is not in the cache.
                return None
            raise FileNotFoundError(f"{self.name}: the hub has {path}, and did not give it: {error}") from error

    def has(self, file: str, subfolder: str | None = None) -> bool:
        """Whether it has a file. Nothing is fetched: one file of several in the cache would later pass for all."""
        from huggingface_hub import try_to_load_from_cache

        path = f"{subfolder.strip('/')}/{file}" if subfolder else file
        if self._listing is not None:
            return path in self._listing
        cached = try_to_load_from_cache(self.name, path, self._options.get("cache_dir"), self._revision)
        return isinstance(cached, str)

    def folder(self, files: Iterable[str], subfolder: str | None = None) -> Path:
        """The folder with those of these files that it has.

        Raises FileNotFoundError where it has none, and where it is changed while they are fetched.
        """
        found = [path for file in files if (path := self.find(file, subfolder)) is not None]
        if not found:
            where = f"{self.name}{f'/{subfolder}' if subfolder else ''}"
            raise FileNotFoundError(self.missing() or f"{where} has none of the files {', '.join(files)}")
        if len({path.parent for path in found}) > 1:
            raise FileNotFoundError(f"{self.name} was changed on the hub while it was fetched; load it again")
        return found[0].parent

    def listing(self, subfolder: str | None = None) -> list[str]:
        """The names of the files in it, or in a folder of it, where the hub has listed them."""
        prefix = f"{subfolder.strip('/')}/" if subfolder else ""
        inside = (path.removeprefix(prefix) for path in self._listing or () if path.startswith(prefix))
        return sorted(name for name in inside if "/" not in name)

    def missing(self) -> str | None:
        """What to say where a file is not found: where was looked, and why the hub gave none. None if it answered."""
        if self._listing is not None:
            return None
        from huggingface_hub import constants

        cache = self._options.get("cache_dir") or constants.HF_HUB_CACHE
        return (
            f"{self.name!r} is no file or folder here ({Path(self.name).absolute()}), and {self._reason}; its files are"
            f" not in the cache either ({cache}); expected {self._what}"
        )

    def _list(self) -> None:
        """Ask the hub for the names of the files: once and without the retries that a download makes for each file."""
        from huggingface_hub import HfApi, constants
        from huggingface_hub.errors import (
            GatedRepoError,
            HFValidationError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
        from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

        try:
            validate_repo_id(self.name)
        except HFValidationError as error:
            raise FileNotFoundError(
                f"{self.name!r} is no file or folder here ({Path(self.name).absolute()}), and no name of a hub model"
                f" ({str(error).rstrip('.')}); expected {self._what}"
            ) from error
        if self._options.get("local_files_only"):
            self._reason = "local_files_only asks no hub"
            return
        if constants.HF_HUB_OFFLINE:
            self._reason = "the hub is not asked for it (HF_HUB_OFFLINE is set)"
            return
        hub = f"the hub ({constants.ENDPOINT})"
        try:
            info = HfApi().model_info(
                self.name, revision=self._revision, token=self._options.get("token"), timeout=_SECONDS
            )
            self._listing = frozenset(file.rfilename for file in info.siblings or ())
        except GatedRepoError:
            self._reason = f"{hub} gives {self.name!r} only to those who asked for access on its page (token=)"
        except RevisionNotFoundError:
            self._reason = f"{hub} has no revision {self._revision!r} of it"
        except RepositoryNotFoundError:
            self._reason = f"{hub} has no model of that name that you may see (private ones need token=)"
        except Exception as error:  # Each version of huggingface_hub has another HTTP client with errors of its own.
            line = next(iter(str(error).strip().splitlines()), type(error).__name__)
            self._reason = f"{hub} does not answer: {line}"
