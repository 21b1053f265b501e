"""A job whose files are in an S3 store on the loopback beside the same with local ones: `stores.py PATH-TO-s3s-fs`.

The server is `cargo install s3s-fs --features binary`. Both run in turn, and the ratio is the median of the rounds';
what the server itself gives is measured beside them. On a busy machine compare the CPU seconds.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pyarrow import fs

from batch import write_captions
from cliptok.batch import tokenize_files

PORT, COUNT, ROUNDS = 8917, 1_400_000, 5


def main(server: str) -> None:
    """Print both rates, the server's bandwidth, and the ratios."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "s3" / "bucket").mkdir(parents=True)
        keys = ["--access-key", "key", "--secret-key", "secret"]
        command = [server, "--host", "127.0.0.1", "--port", str(PORT), *keys, str(root / "s3")]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                time.sleep(2)
                compare(root)
            finally:
                process.kill()


def compare(root: Path) -> None:
    """The rounds."""
    os.environ |= {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{PORT}", "AWS_REGION": "us-east-1"}
    os.environ |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    write_captions(root / "all.parquet", COUNT)
    bucket = fs.S3FileSystem(endpoint_override=f"127.0.0.1:{PORT}", scheme="http", region="us-east-1")
    content = (root / "all.parquet").read_bytes()
    with bucket.open_output_stream("bucket/all.parquet", compression=None) as stream:
        stream.write(content)
    begin = time.perf_counter()
    with bucket.open_input_file("bucket/all.parquet") as file:
        while file.read(1 << 22):
            pass
    size = len(content) / 1e6
    print(f"{size:.0f} MB, which the server gives at {size / (time.perf_counter() - begin):.0f} MB/s")
    wall, cpu = [], []
    for number in range(ROUNDS + 1):
        here = seconds(str(root / "all.parquet"), str(root / "ids.parquet"))
        there = seconds("s3://bucket/all.parquet", "s3://bucket/ids.parquet")
        if number:
            wall.append(here[0] / there[0])
            cpu.append(here[1] / there[1])
            print(f"local {COUNT / here[0]:,.0f} texts/s, store {COUNT / there[0]:,.0f} texts/s")
    print(f"{statistics.median(wall):.2f} times the local rate (at least 0.8); CPU {statistics.median(cpu):.2f}")


def seconds(source: str, out: str) -> tuple[float, float]:
    """Seconds of a job, and of this process's CPU."""
    begin = time.perf_counter(), time.process_time()
    tokenize_files(source, out, column="caption", progress=False)
    return time.perf_counter() - begin[0], time.process_time() - begin[1]


if __name__ == "__main__":
    main(sys.argv[1])
