"""Jobs killed at random moments and resumed, until so many kills: `kills.py COUNT [SEED [WAY ...]]`, or `make kills`.

Each round draws what is read and written, in this process, in two, on Ray, to a store, or embedded. A run is killed
with all processes that it began: before its first part, between parts, or while these are joined, at a moment drawn
over the time that an uninterrupted run took for that. It is resumed and killed until one ends. Then its outputs must
equal, byte for byte, those of a job that nothing interrupted; nothing else may be left, and no committed part may have
been made once more. Lance, whose files have random names, must have the same rows.

Runs are forks of this process, which has imported everything but Ray and started no thread.
"""

import collections
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from cliptok.batch import embed_files, tokenize_files
from cliptok.batch.stores.paths import AnyPath, as_path
from cliptok.encoder import TextConfig, TextEncoder
from support.made import csv, json_lines, packed, tar, text_file

INPUTS = ("txt", "txt.gz", "jsonl", "csv", "parquet", "tar", "tar.zst")
OUTPUTS = ("parquet", "npy", "safetensors", "arrow", "tar", "lance")
WAYS = ("here", "here", "here", "store", "embed", "processes", "ray")
MOMENTS = ("beginning", "parts", "parts", "parts", "joining")
ROWS, PART_ROWS, EMBEDDED = 15_000, 1_000, 200
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
print(ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False).address_info["address"], flush=True)
time.sleep(1e6)
"""


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


class Run:
    """A fork of this process that does something, and what it gives."""

    def __init__(self, work: Callable[[], Any]) -> None:
        read, write = os.pipe()
        self.begin = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read)
            os.setsid()
            try:
                with os.fdopen(write, "wb") as pipe:
                    pickle.dump(work(), pipe)
                os._exit(0)
            except BaseException:
                sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
                os._exit(1)
        os.close(write)
        self._pipe = os.fdopen(read, "rb")

    def has_ended(self) -> bool:
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def result(self) -> Any:
        content = self._pipe.read()
        _, status = os.waitpid(self.pid, 0)
        self._pipe.close()
        assert status == 0
        return pickle.loads(content)

    def kill(self) -> None:
        """With all processes that it began, as when a machine loses power."""
        with suppress(ProcessLookupError):  # It is no leader of a session yet, and has begun nothing.
            os.killpg(self.pid, signal.SIGKILL)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._pipe.close()
        # Ray ends its workers when it misses the one that they work for.
        until = time.monotonic() + 300
        while any(map(is_at_work_on_ray, Path("/proc").glob("[0-9]*"))):
            assert time.monotonic() < until, "Ray's workers go on for a run that was killed"
            time.sleep(0.05)


def is_at_work_on_ray(path: Path) -> bool:
    try:
        name = (path / "cmdline").read_bytes()
    except OSError:
        return False
    return name.startswith(b"ray::") and not name.startswith(b"ray::IDLE")


class Server:
    """A process that prints its address and runs until it is closed."""

    def __init__(self, code: str) -> None:
        environment = {**os.environ, "RAY_raylet_start_wait_time_s": "600"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()


class Round:
    """A job, whole once and killed and resumed once."""

    def __init__(self, folder: Path, kind: str, format: str, way: str, cluster: str) -> None:
        self._way, self._store = way, way == "store"
        options: dict[str, Any] = {"inputs": str(folder / "in" / kind), "format": format, "part_rows": PART_ROWS}
        if kind.startswith(("jsonl", "csv", "parquet")):
            options["column"] = "caption"
        if way == "embed":
            options |= {"model": str(folder / "model"), "device": "cpu", "max_length": 12}
        options |= {"processes": {"processes": 2}, "ray": {"ray": cluster}}.get(way, {})
        self._options = options | {"progress": False}
        place = f"s3://bucket/{os.urandom(4).hex()}" if self._store else tempfile.mkdtemp(dir=folder)
        self.whole, self.out = as_path(f"{place}/whole/"), as_path(f"{place}/out/")
        self._large = f".large.{format}.parts"

    def begin(self, out: AnyPath) -> Run:
        def work() -> tuple[int, int]:
            torch.set_num_threads(1)
            # Else processes that are spawned import this file once more, and torch with it.
            vars(sys.modules["__main__"]).pop("__file__", None)
            job = embed_files if self._way == "embed" else tokenize_files
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
    pick, kills, cluster = random.Random(seed), collections.Counter[str](), ""
    torch.manual_seed(0)
    pa.array([""])  # Arrow imports pandas, if it is there, when it is first used.
    os.environ |= {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    with tempfile.TemporaryDirectory() as name, Server(STORE) as store, ExitStack() as more:
        os.environ["AWS_ENDPOINT_URL"] = store.address
        Run(lambda: make_bucket(store.address)).result()
        folder = Path(name)
        write_inputs(folder / "in")
        TextEncoder(TextConfig(width=32, layers=1, heads=2, mlp=32, projection=16)).save_pretrained(folder / "model")
        while kills.total() < count:
            kind, way = pick.choice(INPUTS), pick.choice(ways)
            if way == "ray" and not cluster:
                cluster = more.enter_context(Server(CLUSTER)).address
            format = pick.choice([one for one in OUTPUTS if one != "lance" or way != "store"])
            this = Round(folder, kind, format, way, cluster)
            times, parts, texts = this.measure()
            here = collections.Counter[str]()
            while here.total() < 10 and kills.total() + here.total() < count:
                run = this.begin(this.out)
                if not this.wait(run, pick.choice(MOMENTS), times, parts, pick):
                    run.result()
                    break
                run.kill()
                here[this.where(parts)] += 1
            there = this.rows_in_parts()
            texts_now, found = this.begin(this.out).result()
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
