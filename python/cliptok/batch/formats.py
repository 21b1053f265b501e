"""The formats of inputs and outputs, by the endings of their names."""

from typing import Literal, get_args

KINDS = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
    ".tar": "tar",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".xz": "xz"}
INPUT_FORMATS = ("txt", "jsonl", "csv", "tsv", "parquet", "arrow", "tar")
OutputFormat = Literal["parquet", "npy", "safetensors", "arrow", "tar", "lance"]
FORMATS: tuple[str, ...] = get_args(OutputFormat)
"""Of outputs."""
WITH_COLUMNS = ("parquet", "arrow", "tar", "lance")
"""Of outputs: those whose rows may have any length, and other columns beside."""
