"""The output of each format."""

from typing import BinaryIO

import pyarrow as pa

from cliptok.batch.writing.arrow_output import ArrowOutput
from cliptok.batch.writing.outputs import ArrayOutput, NpyOutput, ParquetOutput, Record, SafetensorsOutput
from cliptok.batch.writing.tar_output import TarOutput

Output = ParquetOutput | ArrayOutput | ArrowOutput | TarOutput


def create(format: str, file: BinaryIO, first: pa.Table, draft: Record) -> Output:
    """An output that goes to `file` and has the columns of the table `first`; its record will be like `draft`."""
    kinds: dict[str, type[Output]] = {
        "parquet": ParquetOutput,
        "npy": NpyOutput,
        "safetensors": SafetensorsOutput,
        "arrow": ArrowOutput,
        "lance": ArrowOutput,  # Of the parts that a dataset is made of.
        "tar": TarOutput,
    }
    return kinds[format](file, first, draft)
