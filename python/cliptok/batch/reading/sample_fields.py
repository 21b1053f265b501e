"""What a column of a WebDataset archive is: a file of each sample by its extension, or a field of its JSON file."""

import json
import re
from typing import Any, NamedTuple

from cliptok._common.errors import BadInputError

KEY = "__key__"
"""The column to keep for a sample's name, as WebDataset calls it."""

_FIELD = re.compile(r"((?:.*\.)?json)\.(.+)", re.IGNORECASE)


class Sample:
    """The files of one name in an archive, those that are wanted."""

    def __init__(self, key: str) -> None:
        self.key = key
        """Their name."""
        self.files: dict[str, bytes] = {}
        """Their contents by extension."""
        self._objects: dict[str, dict[str, Any]] = {}

    def object(self, extension: str) -> dict[str, Any] | None:
        """The JSON object in a file; None where there is no such file. Raises BadInputError for what is none."""
        if extension not in self.files or extension in self._objects:  # Parsed once for all of its fields.
            return self._objects.get(extension)
        try:
            found = json.loads(self.files[extension].decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError) as error:
            raise BadInputError(f"{self.key}.{extension} is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise BadInputError(f"{self.key}.{extension} is no JSON object")
        self._objects[extension] = found
        return found


class SampleField(NamedTuple):
    """A column of an archive, such as `txt` or `json.caption`."""

    name: str
    extension: str
    """Of the file. One whose whole extension is `name` comes first."""
    path: tuple[str, ...] = ()
    """Names of fields, each in the object of the one before; empty for the file's bytes."""

    @classmethod
    def of(cls, name: str) -> "SampleField":
        """The field that a column's name asks for."""
        # The extensions of samples are in lower case, names of fields are as they are.
        found = _FIELD.fullmatch(name)
        return cls(name, found[1].lower(), tuple(found[2].split("."))) if found else cls(name, name)

    def is_in(self, sample: Sample) -> bool:
        """Whether the sample has the file, whatever it holds."""
        return self.name in sample.files or self.extension in sample.files

    def value(self, sample: Sample) -> Any:
        """The file's bytes, or the field's value; None where there is none.

        Raises BadInputError for what is no JSON.
        """
        if self.name in sample.files or not self.path:
            return sample.files.get(self.name)
        found: Any = sample.object(self.extension)
        for name in self.path:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    def text(self, sample: Sample, lists: bool) -> Any:
        """The caption as bytes, with `lists` a list of them; None where there is none."""
        found = self.value(sample)
        if found is None or isinstance(found, bytes):
            return found
        if isinstance(found, list) and not lists:
            raise BadInputError(
                f"{self._where(sample)} is a list; choose which of its texts with captions= or --captions: first, all"
                " or random"
            )
        if lists and isinstance(found, list):
            return [None if text is None else self._encoded(text, sample) for text in found]
        if lists or not isinstance(found, str):
            what = "a list of strings (captions, --captions)" if lists else "a string"
            raise BadInputError(f"{self._where(sample)} is of type {type(found).__name__}; expected {what} or null")
        return self._encoded(found, sample)

    def kept(self, sample: Sample) -> bytes | str | None:
        """What a column to keep has: a file's bytes, a string as it is, any other value as JSON."""
        found = self.value(sample)
        if found is None or isinstance(found, (bytes, str)):
            return found
        return json.dumps(found, ensure_ascii=False)

    def _encoded(self, text: Any, sample: Sample) -> bytes:
        if not isinstance(text, str):
            raise BadInputError(f"{self._where(sample)} has one of type {type(text).__name__}; expected strings")
        # Half of a surrogate pair is no UTF-8, for which there is a policy.
        return text.encode(errors="surrogatepass")

    def _where(self, sample: Sample) -> str:
        return f"{sample.key}.{self.extension}: the field {'.'.join(self.path)!r}"
