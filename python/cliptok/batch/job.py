"""`tokenize_files` and `embed_files`: arguments to a job, and the job run to its report."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from cliptok._common.atomic_files import remove_leftovers
from cliptok._common.errors import BadInputError
from cliptok._engine import __version__
from cliptok.batch.fingerprints import of_encoder, of_tokenizer
from cliptok.batch.on_ray import run_on_ray
from cliptok.batch.pipeline import Job, Writer, run
from cliptok.batch.progress import JobProgress
from cliptok.batch.reading.inputs import Paths, Shard, find
from cliptok.batch.reading.null_and_utf8_policies import ON_NULL, ON_UNDECODABLE
from cliptok.batch.reading.reader import ROWS, Reading
from cliptok.batch.summary import Report
from cliptok.batch.tokenizing import LISTS, Tokenizing
from cliptok.batch.writing.outputs import Record
from cliptok.batch.writing.records import Index, find_finished
from cliptok.tokenizer.calls.options import check_int, one_of
from cliptok.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch

    from cliptok.batch.encoder_source import EncoderSource
    from cliptok.batch.encoding import Encoding
    from cliptok.encoder import TextEncoder

_WINDOW = 1 << 14
"""Texts per chunk for the encoder, which sorts as many together."""
_VALUES = 1 << 22
"""Ids per chunk where rows are padded to a large `max_length`."""


def tokenize_files(
    inputs: Paths | Iterable[Paths],
    out: Paths,
    *,
    column: str | None = None,
    tokenizer: Tokenizer | None = None,
    max_length: int | None = None,
    dtype: str = "int32",
    lists: str | None = None,
    format: str | None = None,
    keep: str | Iterable[str] = (),
    on_null: str = "error",
    on_undecodable: str = "error",
    resume: bool = False,
    ray: bool | str = False,
    threads: int | None = None,
    progress: bool | None = None,
) -> Report:
    """Write the ids of the texts in files, one output for each input and with its stem.

    `inputs` are files, folders and globs of `.txt` (one text per line), `.jsonl`, `.csv`, `.parquet` and WebDataset
    `.tar`; all but Parquet also packed: `.gz`, `.zst`, `.bz2`, `.xz`. `column` names the texts' column or field, in a
    tar their extension (default: txt). `out` is a folder, or for one input a file; `format` is `parquet` (default),
    `npy` or `safetensors`.

    Ids are in the column `input_ids`, truncated to `max_length` (default: the tokenizer's own), of `dtype` int32, int64
    or uint16. `lists` are `variable` (default for Parquet) or `fixed`, that is padded to `max_length`. `keep` names
    other columns to carry along into Parquet; `"*"` is all of them.

    A null is an error that names its row, or with `on_null` "empty" an empty text, or with "skip" left out. Bytes that
    are no UTF-8 are an error, or with `on_undecodable` "replace" become U+FFFD, or with "skip" leave the text out.

    Every output is written under a temporary name and then renamed. With `resume` those that are finished stay: whole,
    with the same settings, and of the input as it is now. All others are made (anew). `ray` runs the job on Ray: True,
    or the address of a cluster, which must see the same files. `threads` tokenize, by default one per CPU. `progress`
    shows a bar, by default on a terminal.

    Raises BadInputError, a ValueError that names the file and the row, for anything wrong with the files, and
    ValueError or TypeError for a wrong argument. Outputs that were finished before stay.
    """
    shards, format = find(inputs, out, format)
    lists = lists or ("variable" if format == "parquet" else "fixed")
    if lists == "variable" and format != "parquet":
        raise ValueError(f"{format} has rows of one length; lists must be 'fixed'")
    tokenizer = tokenizer or Tokenizer()
    max_length = tokenizer._row_length if max_length is None else max_length
    check_int("max_length", max_length, 2)
    reading = _reading(column, keep, format, on_null, on_undecodable)
    tokenizing = Tokenizing(tokenizer, max_length, dtype, one_of("lists", lists, LISTS), threads)
    tokenizing.column(pa.array([""]))  # Raises for a wrong argument before any work.
    rows = ROWS if lists == "variable" else max(1, min(ROWS, _VALUES // max_length))
    job = Job(reading, tokenizing, rows, _settings(reading, tokenizing, {"lists": lists, "dtype": str(dtype)}))
    return _run(job, None, None, shards, Path(out), resume, ray, progress)


def embed_files(
    inputs: Paths | Iterable[Paths],
    out: Paths,
    *,
    model: "Paths | TextEncoder",
    subfolder: str | None = None,
    device: "str | torch.device | None" = None,
    dtype: "str | torch.dtype | None" = None,
    output: str | None = None,
    normalize: bool = False,
    column: str | None = None,
    tokenizer: Tokenizer | None = None,
    max_length: int | None = None,
    format: str | None = None,
    keep: str | Iterable[str] = (),
    on_null: str = "error",
    on_undecodable: str = "error",
    resume: bool = False,
    ray: bool | str = False,
    progress: bool | None = None,
) -> Report:
    """Write the embeddings of the texts in files, as `tokenize_files` writes their ids, with the same common arguments.

    `model` is a `TextEncoder`, or what `TextEncoder.from_pretrained` takes, with `subfolder`, on `device` (default: a
    GPU if there is one) and in `dtype` (default: the checkpoint's). `output` is `text_embeds` (default where there is a
    projection), `pooler_output`, or `hidden` for all `max_length` states of a text, in `last_hidden_state`. `normalize`
    divides embeddings by their length. `max_length` defaults to the encoder's positions. Values are written as float16
    where the encoder has that dtype, else as float32.

    Raises as `tokenize_files` and `TextEncoder.from_pretrained`.
    """
    from cliptok.batch.encoder_source import EncoderSource
    from cliptok.batch.encoding import plan

    shards, format = find(inputs, out, format)
    source = EncoderSource(model, subfolder, device, dtype)
    encoding, tokenizing = plan(source.load("cpu" if ray else None), output, normalize, tokenizer, max_length)
    reading = _reading(column, keep, format, on_null, on_undecodable)
    settings = {"output": encoding.output, "normalize": normalize, "model": of_encoder(encoding.encoder)}
    job = Job(reading, tokenizing, _WINDOW, _settings(reading, tokenizing, settings))
    return _run(job, encoding, source, shards, Path(out), resume, ray, progress)


def _reading(column: str | None, keep: str | Iterable[str], format: str, on_null: str, on_undecodable: str) -> Reading:
    names = (keep,) if isinstance(keep, str) else tuple(keep)
    if names and format != "parquet":
        raise ValueError(f"keep needs Parquet; {format} has no other columns")
    if "*" in names and len(names) > 1:
        raise ValueError("keep has '*' and other names; '*' alone keeps all other columns")
    return Reading(
        column, names, one_of("on_null", on_null, ON_NULL), one_of("on_undecodable", on_undecodable, ON_UNDECODABLE)
    )


def _settings(reading: Reading, tokenizing: Tokenizing, more: Record) -> Record:
    """Everything that determines the content of an output, in the types that JSON gives back."""
    settings = {
        "cliptok": __version__,
        **reading._asdict(),
        "tokenizer": of_tokenizer(tokenizing.tokenizer),
        "max_length": tokenizing.max_length,
        **more,
    }
    found: Record = json.loads(json.dumps(settings))
    return found


def _run(
    job: Job,
    encoding: "Encoding | None",
    model: "EncoderSource | None",
    shards: list[Shard],
    out: Path,
    resume: bool,
    ray: bool | str,
    progress: bool | None,
) -> Report:
    report = Report(str(out))
    index = Index(out) if shards[0].target.suffix == ".npy" and shards[0].target != out else None
    finished: dict[Shard, Record] = {}
    if resume:
        if index is not None:
            index.read()
        found = ((shard, find_finished(shard, job.settings, index)) for shard in shards)
        finished = {shard: record for shard, record in found if record is not None}
        for record in finished.values():
            report.counts.add(record["counts"])
        report.files = report.finished_before = len(finished)
        report.made_anew = sum(shard.target.exists() for shard in shards if shard not in finished)
    todo = [shard for shard in shards if shard not in finished]
    try:
        remove_leftovers([*(shard.target for shard in todo), *([index.path] if index is not None else [])])
        if index is not None:
            index.write(finished)
        with JobProgress(report, index, todo, progress) as job_progress:
            if ray is False or not todo:
                run(job, encoding, todo, Writer(job.settings, job_progress.clock, job_progress), job_progress.clock)
            else:
                run_on_ray(job, encoding, model, todo, job_progress, None if ray is True else ray)
        if index is not None:
            index.write(shards)
    except OSError as error:
        raise BadInputError(f"{error.filename or out}: {error.strerror or error}") from error
    return report
