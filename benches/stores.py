"""A job whose files are in an S3 store on the loopback beside the same with local ones: `stores.py PATH-TO-s3s-fs`.

The server is `cargo install s3s-fs --features binary`. All run in turn, and a ratio is the median of the rounds'. What
the server itself gives is measured beside them, by pyarrow alone and in requests like the job's; its CPU seconds count
too, since it shares the machine. Everything is in TMPDIR: name a folder in memory, or the disk is measured.
"""

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pyarrow import fs

from batch import write_captions
from cliptok.batch import tokenize_files
from cliptok.batch.stores.reading_ahead import BLOCK

PORT, ROUNDS = 8917, 5


def main() -> None:
    """Print rates, ratios, and the server's bandwidth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("server", help="path to s3s-fs")
    parser.add_argument("--captions", type=int, default=1_400_000, help="over 1.5 million the job is done in parts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "s3" / "bucket").mkdir(parents=True)
        keys = ["--access-key", "key", "--secret-key", "secret"]
        command = [options.server, "--host", "127.0.0.1", "--port", str(PORT), *keys, str(root / "s3")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                time.sleep(2)
                compare(root, options.captions, process.pid)
            finally:
                process.kill()


def compare(root: Path, count: int, server: int) -> None:
    """The rounds."""
    os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}", "AWS_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    source, ids, there = root / "all.parquet", root / "ids.parquet", "s3://bucket"
    write_captions(source, count)
    bucket = fs.S3FileSystem(endpoint_override=f"127.0.0.1:{PORT}", scheme="http", region="us-east-1")
    put(bucket, "all.parquet", source.read_bytes())
    jobs: dict[str, Callable[[], Any]] = {
        "local": lambda: job(source, ids),
        "from the store": lambda: job(f"{there}/all.parquet", ids),
        "from and to it": lambda: job(f"{there}/all.parquet", f"{there}/ids.parquet"),
    }
    wall: dict[str, list[float]] = {name: [] for name in jobs}
    cpu: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(ROUNDS + 1):
        for name, run in jobs.items():
            begin, before = time.perf_counter(), time.process_time() + cpu_seconds(server)
            run()
            if number:
                wall[name].append(time.perf_counter() - begin)
                cpu[name].append(time.process_time() + cpu_seconds(server) - before)
    for name, seconds in wall.items():
        ratio = statistics.median(here / there for here, there in zip(wall["local"], seconds, strict=True))
        rate, busy = count / statistics.median(seconds), statistics.median(cpu[name])
        print(f"{name:15} {rate:10,.0f} texts/s, {ratio:.2f} of local; CPU with the server {busy:.2f} s")
    bandwidth(bucket, source, ids)


def bandwidth(bucket: Any, source: Path, ids: Path) -> None:
    """What pyarrow alone reads and writes of the same bytes."""
    size, begin = source.stat().st_size, time.perf_counter()
    with bucket.open_input_file("bucket/all.parquet") as file, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda at: file.read_at(BLOCK, at), range(0, size, BLOCK)))
    print(f"the server gives {size / 1e6:.0f} MB at {size / 1e6 / (time.perf_counter() - begin):.0f} MB/s", end=", ")
    content, begin = ids.read_bytes(), time.perf_counter()
    put(bucket, "again.parquet", content)
    spent = time.perf_counter() - begin
    print(f"and takes {len(content) / 1e6:.0f} MB at {len(content) / 1e6 / spent:.0f} MB/s ({spent:.2f} s)")


def job(source: Any, out: Any) -> None:
    """One run."""
    tokenize_files(source, out, column="caption", progress=False)


def put(bucket: Any, name: str, content: bytes) -> None:
    """Write an object."""
    with bucket.open_output_stream(f"bucket/{name}", compression=None) as stream:
        stream.write(content)


def cpu_seconds(process: int) -> float:
    """Of another process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
