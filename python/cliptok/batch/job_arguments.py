"""What `tokenize_files` and `embed_files` are told in common, checked before any work."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cliptok._common.errors import BadInputError
from cliptok._common.extras import need
from cliptok.batch.formats import WITH_COLUMNS
from cliptok.batch.reading.inputs import Shard
from cliptok.batch.reading.reader import Reading
from cliptok.batch.stores.paths import real
from cliptok.tokenizer.calls.options import check_int, check_path, one_of

MAX_PROCESSES = 1024
"""Of one machine, for a job."""


def devices_of(device: Any, processes: int | None) -> list[str]:
    """What each process computes on: several devices with commas between, or `processes` times one, "" the default."""
    names = str(device).split(",") if device is not None else [""]
    if len(names) == 1:
        return names * (processes or 1)
    if processes not in (None, len(names)):
        raise ValueError(f"device names {len(names)} devices, and processes is {processes}")
    return names


def log_path(path: Any, shards: Iterable[Shard]) -> Path | None:
    """The file that gets a line for each part. Raises BadInputError for one of the job's inputs or outputs."""
    if path is None:
        return None
    log = Path(check_path("json_log", path, "a file to add lines to"))
    if real(log) in {real(each) for shard in shards for each in (shard.source, shard.target)}:
        raise BadInputError(f"{log} is an input or an output; choose another file for the log")
    return log


def check_running(ray: Any, progress: Any, part_rows: Any, processes: Any, *modules: str) -> None:
    """Raise for arguments that say how a job runs and are of another kind, and ImportError where Ray is missing."""
    if not isinstance(ray, (bool, str)):
        raise TypeError(f"ray is of type {type(ray).__name__}; expected True or the address of a cluster")
    if not (progress is None or isinstance(progress, bool) or progress == "lines"):
        raise ValueError(f"progress is {progress!r}; choose True, False, None or 'lines'")
    if part_rows is not None:
        check_int("part_rows", part_rows, 1)
    if processes is not None:
        check_int("processes", processes, 1)
        if processes > MAX_PROCESSES:
            raise ValueError(f"processes is {processes}; expected at most {MAX_PROCESSES:,}")
        if ray is not False and processes > 1:
            raise ValueError("processes are of this machine, and ray has its own")
    if ray is not False:
        need("ray=True", "ray", *modules)


def keeping(reading: Reading, keep: str | Iterable[str], format: str, members: str | None) -> Reading:
    """The options for reading, with the columns to carry along. Raises for those that the format has no room for."""
    given: Any = keep
    if not isinstance(given, Iterable) or not all(isinstance(name, str) for name in given):
        raise TypeError(f"keep is {given!r}; expected names of columns")
    names = (keep,) if isinstance(keep, str) else tuple(keep)
    if names and format not in WITH_COLUMNS:
        raise ValueError(f"keep needs Parquet, Arrow, Lance or tar; {format} has no other columns")
    if "*" in names and len(names) > 1:
        raise ValueError("keep has '*' and other names; '*' alone keeps all other columns")
    if members is not None:
        one_of("members", members, ("npy", "safetensors"))
        if format != "tar":
            raise ValueError(f"members is for tar; {format} has none")
    if format != "tar":
        return reading._replace(keep=names)
    if reading.captions == "all":
        raise ValueError("captions='all' makes several rows of a sample, and a tar has one of each; write Parquet")
    return reading._replace(keep=names, samples=members or "npy")
