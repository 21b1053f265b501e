"""A tokenizer that kills the process it runs in, as a crash or a lack of memory would."""

import os
import signal
from pathlib import Path
from typing import Any

from cliptok import Tokenizer


class Deadly(Tokenizer):
    """Kills its process at a text that `killing` made. Picklable, so that it does that wherever a job runs."""

    def encode_packed(self, texts: Any, *arguments: Any, **options: Any) -> Any:
        for text in map(str, texts):
            if text.startswith("kill "):
                _, times, path = text.split(" ", 2)
                with Path(path).open("ab") as file:
                    file.write(b"x")
                if Path(path).stat().st_size <= int(times):
                    os.kill(os.getpid(), signal.SIGKILL)
        return super().encode_packed(texts, *arguments, **options)


def killing(path: Path, times: int = 1_000_000) -> str:
    """A text that kills whoever tokenizes it, so many times. The file gets a byte for each try."""
    return f"kill {times} {path}"
