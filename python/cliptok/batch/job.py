"""`tokenize_files` and `embed_files`: arguments to a job, and the job run to its report."""

import json
import os
from collections.abc import Iterable, Mapping
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from cliptok._common.warning import warn_caller
from cliptok.batch import clip_retrieval
from cliptok.batch.fingerprints import of_encoder, of_tokenizer
from cliptok.batch.formats import WITH_COLUMNS, OutputFormat
from cliptok.batch.job_arguments import check_running, devices_of, keeping, log_path
from cliptok.batch.pipeline import Job
from cliptok.batch.planned_job import PlannedJob, Running
from cliptok.batch.progress import Progress
from cliptok.batch.reading.inputs import Paths, find
from cliptok.batch.reading.options import reading_for
from cliptok.batch.reading.reader import ROWS, Reading
from cliptok.batch.stores.paths import as_path
from cliptok.batch.stores.store_path import StorePath
from cliptok.batch.summary import Clock, Report
from cliptok.batch.tokenizer_argument import Named, as_tokenizer
from cliptok.batch.tokenizing import LISTS, Tokenizing
from cliptok.batch.writing.outputs import Record
from cliptok.batch.writing.results import RESULTS
from cliptok.tokenizer.annotations import ProfileName
from cliptok.tokenizer.calls.options import check_int, one_of

if TYPE_CHECKING:
    import torch

    from cliptok.batch.encoding import Encoding
    from cliptok.encoder import EmbeddingCache, TextEncoder
    from cliptok.prompts import Conditioner

_WINDOW = 1 << 14
"""Texts per chunk for the encoder, which sorts as many together."""
_PART = 1 << 17
"""Rows in a part where texts become ids: a twentieth of a second of work."""
_PART_IN_STORE = 1 << 16
"""The same in a store, where a kill costs the part that is uploaded too."""
_WHOLE = 1 << 26
"""Bytes of an input up to which it is one part then: less than a second of work."""
_VALUES = 1 << 22
"""Ids per chunk where rows are padded to a large `max_length`."""


def tokenize_files(
    inputs: Paths | Iterable[Paths],
    out: Paths,
    *,
    column: str | int | None = None,
    tokenizer: Named = None,
    profile: ProfileName | None = None,
    max_length: int | None = None,
    dtype: Literal["uint16", "int32", "int64"] = "int32",
    lists: Literal["variable", "fixed"] | None = None,
    format: OutputFormat | None = None,
    members: Literal["npy", "safetensors"] | None = None,
    keep: str | Iterable[str] = (),
    on_null: Literal["error", "empty", "skip"] = "error",
    on_undecodable: Literal["error", "replace", "skip"] = "error",
    input_format: Literal["txt", "jsonl", "csv", "tsv", "parquet", "arrow", "tar"] | None = None,
    delimiter: str | None = None,
    quotes: bool = True,
    header: bool = True,
    captions: Literal["first", "all", "random"] | None = None,
    seed: int | None = None,
    resume: bool = False,
    check: bool = False,
    overwrite: bool = True,
    dry_run: bool = False,
    part_rows: int | None = None,
    processes: int | None = None,
    ray: bool | str = False,
    threads: int | None = None,
    progress: Progress = None,
    json_log: str | os.PathLike[str] | None = None,
) -> Report:
    """Write the ids of the texts in files, one output for each input and with its stem.

    `inputs` are files, folders, globs and URLs of `.txt` (one text per line), `.jsonl`, `.csv`, `.tsv`, `.parquet` and
    WebDataset `.tar`; all but Parquet also packed: `.gz`, `.zst`, `.bz2`, `.xz`. `input_format` says what they are
    where their names do not. `column` names the texts' column or field, in a tar their extension (default: txt). In CSV
    and TSV `delimiter` is another than comma and tab, `quotes=False` reads quotes as text, and with `header=False` the
    first row is a row and columns have numbers, from 1. A column of lists of texts needs `captions`: the "first" of
    each list, one at "random", which `seed` and the row's number decide, or "all", each in a row of its own with the
    row's other columns. `out` is a folder, or for one input a file; `format` is
    `parquet` (default), `npy`, `safetensors`, `arrow`, `tar` or `lance`.

    `tokenizer` is a Tokenizer, a profile's name, a folder or a hub name; `profile` its profile. Ids are in the column
    `input_ids`, truncated to `max_length` (default: the tokenizer's own), of `dtype` int32, int64 or uint16. `lists`
    are `variable` (default for Parquet, Arrow, Lance and tar) or `fixed`, that is padded to `max_length`. `keep` names
    other columns to carry along into these; `"*"` is all of them.

    A tar is for WebDataset: a sample for each row, under the input's `__key__` or, where it has none, the row's number,
    with its arrays as `members`, `.npy` (default) or one `.safetensors`. Columns to keep are files beside: bytes as
    they are, strings as `.txt`, other values as `.json`; of a tar `"*"` is the samples' other files.

    A null is an error that names its row, or with `on_null` "empty" an empty text, or with "skip" left out. Bytes that
    are not UTF-8 are an error, or with `on_undecodable` "replace" become U+FFFD, or with "skip" leave the text out.

    Every output is written under a temporary name and then renamed. With `resume` those that are finished stay:
    complete, with the same settings, and of the content that the input has now; with `check` only those whose content
    has the checksum that was recorded, for which they are read. All others are made (anew). A large input is done in
    parts of `part_rows` rows, each committed to a hidden folder beside the output and joined to the others in the end,
    and `resume` goes on behind them; by default, 131,072 rows of inputs over 64 MiB. Outputs that exist are replaced,
    or without `overwrite` an error before the work starts. `dry_run` makes nothing, and returns in `Report.outputs`
    what would be made. `ray` runs the job on Ray: True, or the address of a cluster, which must see the same files.
    `processes` of this machine make the parts. `threads` tokenize, by default one per CPU. `progress` shows a bar, by
    default on a terminal, or "lines" on standard error, one a minute; `json_log` is a file that gets a line of JSON for
    each part.

    Raises BadInputError, a ValueError that names the file and the row, for anything wrong with the files, an input that
    changes while it is read too, and ValueError or TypeError for a wrong argument. Outputs that were finished before
    stay.
    """
    check_running(ray, progress, part_rows, processes)
    shards, kind = find(inputs, out, format, input_format)
    log = log_path(json_log, shards)
    lists = lists or ("variable" if kind in WITH_COLUMNS else "fixed")
    if lists == "variable" and kind not in WITH_COLUMNS:
        raise ValueError(f"{kind} has rows of one length; lists must be 'fixed'")
    tok = as_tokenizer(tokenizer, profile)
    max_length = tok._row_length if max_length is None else max_length
    check_int("max_length", max_length, 2)
    reading = reading_for(
        shards, column, on_null, on_undecodable, input_format, delimiter, quotes, header, captions, seed
    )
    reading = keeping(reading, keep, kind, members)
    tokenizing = Tokenizing(tok, max_length, dtype, one_of("lists", lists, LISTS), threads)
    tokenizing.column([""])  # Raises for a wrong argument before any work.
    rows = ROWS if lists == "variable" else max(1, min(ROWS, _VALUES // max_length))
    settings = _settings(reading, tokenizing, {"lists": lists, "dtype": str(dtype)})
    place = as_path(out)
    part = part_rows or (_PART_IN_STORE if isinstance(place, StorePath) else _PART)
    job = Job(reading, tokenizing, rows, settings, part, 0 if part_rows else _WHOLE)
    planned = PlannedJob(job, shards, place, resume=resume, check=check, overwrite=overwrite)
    if dry_run:
        planned.report.outputs = planned.outputs()
        return planned.report
    how = Running(ray, ["cpu"] * (processes or 1), progress, log)
    return planned.run(None, None, how, Clock())


def embed_files(
    inputs: Paths | Iterable[Paths],
    out: Paths,
    *,
    model: "Paths | TextEncoder | None" = None,
    pipeline: "Paths | Conditioner | None" = None,
    dialect: str = "diffusers",
    prompt_settings: Mapping[str, Any] | None = None,
    subfolder: str | None = None,
    encoder: Literal["clip_l", "clip_g"] | None = None,
    activation: str | None = None,
    variant: str | None = None,
    revision: str | None = None,
    device: "str | torch.device | None" = None,
    dtype: "str | torch.dtype | None" = None,
    output: Literal["text_embeds", "pooler_output", "hidden"] | None = None,
    normalize: bool = False,
    batch_size: int | None = None,
    cache: "Paths | EmbeddingCache | None" = None,
    column: str | int | None = None,
    tokenizer: Named = None,
    profile: ProfileName | None = None,
    max_length: int | None = None,
    format: OutputFormat | Literal["clip-retrieval"] | None = None,
    members: Literal["npy", "safetensors"] | None = None,
    keep: str | Iterable[str] = (),
    on_null: Literal["error", "empty", "skip"] = "error",
    on_undecodable: Literal["error", "replace", "skip"] = "error",
    input_format: Literal["txt", "jsonl", "csv", "tsv", "parquet", "arrow", "tar"] | None = None,
    delimiter: str | None = None,
    quotes: bool = True,
    header: bool = True,
    captions: Literal["first", "all", "random"] | None = None,
    seed: int | None = None,
    resume: bool = False,
    check: bool = False,
    overwrite: bool = True,
    dry_run: bool = False,
    part_rows: int | None = None,
    processes: int | None = None,
    ray: bool | str = False,
    threads: int | None = None,
    progress: Progress = None,
    json_log: str | os.PathLike[str] | None = None,
) -> Report:
    """Write the embeddings of the texts in files, as `tokenize_files` writes their ids, with the same common arguments.

    `model` is a `TextEncoder`, or what `TextEncoder.from_pretrained` takes, with its arguments `subfolder`, `encoder`,
    `activation`, `variant` and `revision`, on `device` (default: a GPU if there is one) and in `dtype` (default: the
    checkpoint's). Several devices, as in "cuda:0,cuda:1", have a process each, and a part goes to whichever is free.
    `output` is `text_embeds` (default where there is a projection), `pooler_output`, or `hidden` for all `max_length`
    states of a text, in `last_hidden_state`. `normalize` divides embeddings by their length. `batch_size` texts are
    computed together at most. `max_length` defaults to the encoder's positions. Values are written as float16 where the
    encoder has that dtype, as bfloat16 where it has that one and `format` is safetensors, else as float32, which holds
    them exactly; a warning says so where bfloat16 was asked for.

    `cache` is a folder on a local disk, or a `cliptok.encoder.EmbeddingCache`, which also has a bound: texts that any
    job has embedded in this way are read from it, in whichever file they are. Each machine of a cluster has its own.
    `Report.reused` counts them.

    With the `format` "clip-retrieval" `out` gets the folders `text_emb` and `metadata` that clip-retrieval and
    autofaiss read: numbered `.npy` files, and Parquet files with the texts as `caption` and the columns to `keep`.

    `pipeline`, in place of `model`, writes what a diffusion model is conditioned on: `prompt_embeds`, and
    `pooled_prompt_embeds` where the model has them, as `cliptok.prompts.Conditioner` makes them. It is a `Conditioner`,
    or a diffusers pipeline's folder, a single file or a hub name, of which only the CLIP parts are loaded (with
    `variant`, `revision`, `device` and `dtype`). `dialect` says how prompts are read; "diffusers" is the pipeline's own
    `encode_prompt`. `prompt_settings` are the dialect's, such as `{"clip_skip": 2}`. Every prompt is encoded as if it
    were alone. States are (77, width) in the dialect "diffusers"; others give each prompt as many as it needs, for
    which only Arrow and Parquet have room. `format` is `arrow` by default, which `cliptok.data.ConditioningDataset`
    reads, as it does `safetensors`. `batch_size` is 128 prompts.

    Raises as `tokenize_files` and `TextEncoder.from_pretrained`, and BadInputError for a prompt that the dialect cannot
    read.
    """
    if (model is None) == (pipeline is None):
        raise TypeError("embed_files takes a model or a pipeline: one of the two")
    from cliptok.batch.conditioning import PART, TOGETHER, Conditions, Planning
    from cliptok.batch.encoder_source import EncoderSource
    from cliptok.batch.encoding import plan
    from cliptok.encoder.caching.store import as_cache
    from cliptok.encoder.device import checked_device

    check_running(ray, progress, part_rows, processes, "torch")
    if pipeline is not None:
        of_models: dict[str, Any] = {
            "subfolder": subfolder,
            "encoder": encoder,
            "activation": activation,
            "output": output,
        }
        of_models |= {"normalize": normalize or None, "tokenizer": tokenizer, "profile": profile}
        of_models |= {"max_length": max_length, "cache": cache}
        if wrong := [name for name, value in of_models.items() if value is not None]:
            raise ValueError(f"{', '.join(wrong)}: for a model; a pipeline has dialect and prompt_settings")
    elif prompt_settings or dialect != "diffusers":
        raise ValueError("dialect and prompt_settings are for a pipeline")
    is_for_retrieval = format == clip_retrieval.FORMAT
    if is_for_retrieval and (pipeline is not None or output == "hidden"):
        raise ValueError(f"{format} has an embedding for each text; a pipeline and output 'hidden' give states")
    default = "parquet" if pipeline is None else "arrow"
    shards, kind = find(inputs, out, "npy" if is_for_retrieval else format, input_format, default)
    log = log_path(json_log, shards)
    place = as_path(out)
    reading = all_columns = reading_for(
        shards, column, on_null, on_undecodable, input_format, delimiter, quotes, header, captions, seed
    )
    if is_for_retrieval:
        all_columns = keeping(reading, keep, "parquet", members)
        shards, described = clip_retrieval.outputs(shards, place)
    else:
        reading = keeping(reading, keep, kind, members)
    if batch_size is not None:
        check_int("batch_size", batch_size, 1)
    named = {"encoder": encoder, "activation": activation, "variant": variant, "revision": revision}
    options = tuple((name, value) for name, value in named.items() if value is not None)
    named_or_loaded = model if pipeline is None else pipeline
    devices = devices_of(device, processes)
    device = devices[0] if "," in str(device) else device
    given = os.fspath(named_or_loaded) if isinstance(named_or_loaded, os.PathLike) else named_or_loaded
    source = EncoderSource(given, subfolder, device, dtype, options)
    if str(dtype).removeprefix("torch.") == "bfloat16" and kind != "safetensors":
        warn_caller(
            f"dtype is bfloat16, which {kind} does not have: the same values are written as float32; format "
            "'safetensors' keeps it"
        )
    clock = Clock()
    begin = perf_counter()
    devices = ["cpu"] if ray else [str(checked_device(name or source.default_device())) for name in devices]
    # Where others compute, this process only plans and identifies, and leaves the memory of GPUs to them.
    here = "cpu" if ray or len(devices) > 1 else None
    encoding: Encoding | Conditions
    if pipeline is None:
        tok = as_tokenizer(tokenizer, profile)
        loaded = source.load(here)
        encoding, tokenizing = plan(loaded, output, normalize, tok, max_length, batch_size, as_cache(cache))
        encoding = encoding._replace(keeps_bfloat16=kind == "safetensors")
        tokenizing = tokenizing._replace(threads=threads)
        settings = {"output": encoding.output, "normalize": normalize, "model": of_encoder(encoding.encoder)}
        settings = _settings(reading, tokenizing, settings)
        job = Job(reading, tokenizing, _WINDOW, settings, part_rows or encoding.part_rows(devices[0]))
    else:
        planning = Planning(source.load_conditioner(dialect, here), prompt_settings or {})
        encoding = Conditions.of(planning, kind)
        together = batch_size or TOGETHER
        settings = _recorded({**reading.record(), **planning.record()})
        job = Job(reading, planning, together, settings, part_rows or PART)
    clock.seconds["loading"] = perf_counter() - begin
    jobs = [PlannedJob(job, shards, place, resume=resume, check=check, overwrite=overwrite)]
    if is_for_retrieval:
        texts = Job(all_columns, clip_retrieval.Captions(), ROWS, _recorded(all_columns.record()), part_rows or _PART)
        jobs.append(PlannedJob(texts, described, place, resume=resume, check=check, overwrite=overwrite))
    report = jobs[0].report
    if dry_run:
        report.outputs = [output for each in jobs for output in each.outputs()]
        return report
    for metadata in jobs[1:]:
        metadata.run(None, None, Running(progress=progress), Clock())
    return jobs[0].run(encoding, source, Running(ray, devices, progress, log), clock)


def _settings(reading: Reading, tokenizing: Tokenizing, more: Record) -> Record:
    """Everything that determines the content of an output, in the types that JSON gives back."""
    tokenizer = of_tokenizer(tokenizing.tokenizer)
    return _recorded({**reading.record(), "tokenizer": tokenizer, "max_length": tokenizing.max_length, **more})


def _recorded(settings: Record) -> Record:
    found: Record = json.loads(json.dumps({"results": RESULTS, **settings}))
    return found
