"""Jobs killed at random moments and resumed, until so many kills: `kills.py COUNT [SEED [WAY ...]]`, or `make kills`.

Each round draws what is read and written, and the way: in this process, in two, on Ray, to a store, or embedded. A run
is killed with all processes that it began: before its first part, between parts, or while these are joined, at a moment
drawn over the time that an uninterrupted run took for that. It is resumed and killed until one ends. Where a job has
workers, at times one of them alone is killed, and the run goes on. Then the outputs must equal, byte for byte, those of
a job that nothing interrupted; nothing else may be left, and no committed part may have been made once more. Lance,
whose files have random names, must have the same rows.

Runs are forks of this process, which has imported everything and started no thread. Those on Ray share a cluster.
"""

import collections
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import ray  # noqa: F401 (so that no run has to)
import torch

from cliptok import Tokenizer
from cliptok.batch import embed_files, tokenize_files
from cliptok.batch.stores.paths import AnyPath, as_path
from cliptok.encoder import TextConfig, TextEncoder
from support.made import csv, json_lines, packed, tar, text_file
from support.runs import Run, Server, workers

INPUTS = ("txt", "txt.gz", "jsonl", "csv", "parquet", "tar", "tar.zst")
OUTPUTS = ("parquet", "npy", "safetensors", "arrow", "tar", "lance")
WAYS = ("here", "here", "here", "store", "embed", "processes", "ray", "ray store", "ray embed")
MOMENTS = ("beginning", "parts", "parts", "parts", "joining")
ROWS, PART_ROWS = 15_000, 1_000
STORE = """
import time
from support.s3_server import S3Server
server = S3Server()
print(server.endpoint, flush=True)
time.sleep(1e6)
"""
CLUSTER = """
import time
import ray
small = {"num_cpus": 2, "object_store_memory": 80_000_000, "include_dashboard": False, "log_to_driver": False}
print(ray.init("local", **small).address_info["address"], flush=True)
time.sleep(1e6)
"""


class Slow(Tokenizer):
    """Takes its time over each part, so that jobs on Ray are killed while they work, not while they begin and end."""

    def encode_packed(self, *arguments: Any, **options: Any) -> Any:
        time.sleep(0.2)
        return super().encode_packed(*arguments, **options)


class Times(NamedTuple):
    """Seconds from the beginning of a run that nothing interrupted."""

    first: float
    """To its first part."""
    last: float
    """To its last one."""
    end: float


def write_inputs(folder: Path) -> None:
    """The same texts in each kind of file, and a small file of each beside it."""
    texts = [f"caption {n} of {'very ' * (n % 23)}many cats" for n in range(ROWS)]
    for kind in INPUTS:
        suffix, _, compression = kind.partition(".")
        (folder / kind).mkdir(parents=True)
        for name, rows in (("large", texts), ("small", texts[:50])):
            path = folder / kind / f"{name}.{kind}"
            if kind == "parquet":
                pq.write_table(pa.table({"caption": rows}), path, row_group_size=2_300)
            else:
                make: Any = {"txt": text_file, "jsonl": json_lines, "csv": csv, "tar": tar_of}[suffix]
                path.write_bytes(packed(make(rows), compression))


def tar_of(texts: list[str]) -> bytes:
    return tar(texts[: ROWS // 3], jpg=b"a picture")


class Round:
    """A job, whole once and killed and resumed once."""

    def __init__(self, folder: Path, kind: str, format: str, way: str, cluster: Server | None) -> None:
        self._way, self._store, self._cluster = way, "store" in way, cluster if "ray" in way else None
        options: dict[str, Any] = {"inputs": str(folder / "in" / kind), "format": format, "part_rows": PART_ROWS}
        if kind.startswith(("jsonl", "csv", "parquet")):
            options["column"] = "caption"
        if "embed" in way:
            options |= {"model": str(folder / "model"), "device": "cpu", "max_length": 12}
        if way == "processes":
            options["processes"] = 2
        if self._cluster is not None:
            options |= {"ray": self._cluster.address, "tokenizer": Slow()}
        self._options = options | {"progress": False}
        place = f"s3://bucket/{os.urandom(4).hex()}" if self._store else tempfile.mkdtemp(dir=folder)
        self.whole, self.out = as_path(f"{place}/whole/"), as_path(f"{place}/out/")
        self._large = f".large.{format}.parts"

    def begin(self, out: AnyPath) -> Run:
        def work() -> tuple[int, int]:
            torch.set_num_threads(1)
            # Else processes that are spawned import this file once more, and torch with it.
            vars(sys.modules["__main__"]).pop("__file__", None)
            job = embed_files if "embed" in self._way else tokenize_files
            report = job(**self._options, out=f"{out}/", resume=True)
            return report.texts_now, report.counts.texts

        return Run(work)

    def parts(self, out: AnyPath) -> list[str]:
        """The names of the parts that are there."""

        def names() -> list[str]:
            return [path.name for path in (out / self._large).glob("*.part")]

        try:
            return Run(names).result() if self._store else names()
        except OSError:  # It is just being removed.
            return []

    def measure(self) -> tuple[Times, int, int]:
        """When parts come in a run that nothing interrupts, how many there are, and its texts."""
        run, first, last, most = self.begin(self.whole), 0.0, 0.0, 0
        while not run.has_ended():
            count = len(self.parts(self.whole))
            if count > most:
                last, most = time.monotonic() - run.begin, count
                first = first or last
            time.sleep(0.001)
        end = time.monotonic() - run.begin
        _, texts = run.result()
        return Times(first or end, last or end, end), most, texts

    def wait(self, run: Run, moment: str, times: Times, count: int, pick: random.Random) -> bool:
        """Wait until a moment of a run; False where it has ended before."""
        there = len(self.parts(self.out))
        needed = {"beginning": 0, "parts": there + 1, "joining": count}[moment]
        share = 1 - there / max(count, 1)
        delay = {
            "beginning": times.first,
            "parts": (times.last - times.first) * share,
            "joining": (times.end - times.last) * 1.2,
        }[moment]
        if there >= count and moment == "parts":
            needed = 0
        while len(self.parts(self.out)) < needed:
            if run.has_ended():
                return False
            time.sleep(0.0005)
        until = time.monotonic() + pick.uniform(0, delay)
        while time.monotonic() < until:
            time.sleep(0.0002)
        return not run.has_ended()

    def kill(self, run: Run) -> None:
        """With its workers; Ray ends its own when it misses the one that they work for."""
        run.kill()
        until = time.monotonic() + 300
        while self._cluster is not None and workers(self._cluster.pid):
            assert time.monotonic() < until, "Ray's workers go on for a run that was killed"
            time.sleep(0.01)

    def kill_a_worker(self, run: Run, pick: random.Random) -> bool:
        """Kill one worker alone; False where none is at work."""
        found = workers(run.pid if self._cluster is None else self._cluster.pid)
        with suppress(ProcessLookupError):  # It has just ended.
            if found:
                os.kill(pick.choice(found), signal.SIGKILL)
                return True
        return False

    def where(self, count: int) -> str:
        """Where a run was when it was killed."""
        there = len(self.parts(self.out))
        if Run(lambda: (self.out / self._large[1 : -len(".parts")]).exists()).result():
            return "after the join"
        return "before a part" if not there else "between parts" if there < count else "while joining"

    def rows_in_parts(self) -> int:
        """Rows that are in committed parts."""

        def rows() -> int:
            found = 0
            for path in (self.out / self._large).glob("*.part"):
                with path.open("rb") as file:
                    content = file.read()
                length = int.from_bytes(content[-16:-8], "little")
                found += json.loads(content[-16 - length : -16])["counts"]["texts"]
            return found

        return int(Run(rows).result())

    def content(self, out: AnyPath) -> dict[str, Any]:
        """Everything in a folder, hidden files too."""

        def read() -> dict[str, Any]:
            found: dict[str, Any] = {}
            for path in out.rglob("*"):
                name = path.relative_to(out).as_posix()
                if ".lance/" in name:
                    continue
                if name.endswith(".lance"):
                    import lance

                    found[name] = lance.dataset(str(path)).to_table().to_pylist()
                elif path.is_file():
                    with path.open("rb") as file:
                        found[name] = file.read()
            return found

        result: dict[str, Any] = Run(read).result()
        return result


def main(count: int, seed: int, ways: Sequence[str]) -> None:
    pick, kills, cluster = random.Random(seed), collections.Counter[str](), None
    torch.manual_seed(0)
    pa.array([""])  # Arrow imports pandas, if it is there, when it is first used.
    os.environ["RAY_AUTH_MODE"] = "disabled"  # Else a run that is told the address has no token.
    os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    with tempfile.TemporaryDirectory() as name, Server(STORE) as store, ExitStack() as more:
        os.environ["AWS_ENDPOINT_URL"] = store.address
        Run(lambda: make_bucket(store.address)).result()
        folder = Path(name)
        write_inputs(folder / "in")
        TextEncoder(TextConfig(width=32, layers=1, heads=2, mlp=32, projection=16)).save_pretrained(folder / "model")
        while kills.total() < count:
            kind, way = pick.choice(INPUTS), pick.choice(ways)
            if "ray" in way and cluster is None:
                cluster = more.enter_context(Server(CLUSTER))
            format = pick.choice([one for one in OUTPUTS if one != "lance" or "store" not in way])
            this = Round(folder, kind, format, way, cluster)
            times, parts, texts = this.measure()
            here = collections.Counter[str]()
            run, there = this.begin(this.out), 0
            while here.total() < 10 and kills.total() + here.total() < count:
                if not this.wait(run, pick.choice(MOMENTS), times, parts, pick):
                    break
                where = this.where(parts)
                if pick.random() < 0.4 and this.kill_a_worker(run, pick):
                    here[f"a worker {where}"] += 1
                    continue
                this.kill(run)
                here[this.where(parts)] += 1
                there = this.rows_in_parts()
                run = this.begin(this.out)
            texts_now, found = run.result()
            assert found == texts
            assert texts_now <= texts - there, (texts_now, texts, there)
            assert this.content(this.out) == this.content(this.whole), (kind, format, way)
            kills += here
            made = f"{kind} to {format} {way}"
            print(f"{kills.total()} kills: {made}: {dict(here)}; {there:,} rows were there", flush=True)
    print(f"{kills.total()} kills: {dict(kills)}; all outputs equal, no committed row was made again")


def make_bucket(endpoint: str) -> None:
    from pyarrow import fs

    store = fs.S3FileSystem(
        endpoint_override=endpoint, region="us-east-1", allow_bucket_creation=True, request_timeout=300
    )
    store.create_dir("bucket")


if __name__ == "__main__":
    number, seed, *chosen = sys.argv[1:] if sys.argv[2:] else [sys.argv[1], "0"]
    main(int(number), int(seed), chosen or WAYS)
