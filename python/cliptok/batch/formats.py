"""The formats of inputs and outputs, by the endings of their names."""

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
FORMATS = ("parquet", "npy", "safetensors")
"""Of outputs."""
