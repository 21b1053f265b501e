"""Jobs that read from and write to stores: an S3 server on the loopback, memory, and the web."""

import glob
import gzip
import io
import pickle
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from cliptok.batch import BadInputError, check_outputs, tokenize_files
from cliptok.batch.stores import errors, filesystems, reading_ahead
from cliptok.batch.stores.reading_ahead import BLOCK, TAIL, BlockFile
from cliptok.batch.stores.store_path import StorePath, _matches
from cliptok.batch.writing import parts
from cliptok.cli import main
from support.made import TEXTS, expected, ids_in, json_lines, parquet, tar, text_file, tree
from support.s3_server import BROKEN, DENIED, SLOW_DOWN, S3Server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    found = S3Server()
    yield found
    found.close()


@pytest.fixture
def bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[fs.S3FileSystem]:
    """An empty bucket of the name `bucket`, whose server the environment names."""
    for name, value in (
        ("AWS_ENDPOINT_URL", server.endpoint),
        ("AWS_ACCESS_KEY_ID", "key-of-the-tests"),
        ("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests"),
        ("AWS_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    filesystems._filesystem.cache_clear()
    made = fs.S3FileSystem(endpoint_override=server.endpoint, region="us-east-1", allow_bucket_creation=True)
    made.create_dir("bucket")
    server.requests.clear()
    yield made
    server.fault = lambda method, path, query: None
    made.delete_dir_contents("bucket")


def put(bucket: fs.FileSystem, name: str, content: bytes) -> None:
    with bucket.open_output_stream(f"bucket/{name}", compression=None) as stream:
        stream.write(content)


def objects(bucket: fs.FileSystem, below: str = "") -> dict[str, bytes]:
    """All objects, by their names."""
    found = bucket.get_file_info(fs.FileSelector(f"bucket/{below}".rstrip("/"), recursive=True, allow_not_found=True))
    files = [one.path for one in found if one.type == fs.FileType.File]
    return {path.removeprefix(f"bucket/{below}"): bucket.open_input_file(path).read() for path in files}


def made_inputs(folder: Path) -> dict[str, bytes]:
    """Inputs of each kind, as they are in a folder of this machine and to be put elsewhere."""
    folder.mkdir()
    parquet(folder / "a.parquet", TEXTS)
    (folder / "b.jsonl").write_bytes(json_lines(TEXTS))
    (folder / "deep").mkdir()
    (folder / "deep" / "c.jsonl.gz").write_bytes(gzip.compress(json_lines(TEXTS[:3])))
    with pa.ipc.new_file(folder / "d.arrow", pa.schema([("caption", pa.string())])) as writer:
        writer.write_table(pa.table({"caption": TEXTS}))
    return tree(folder)


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors", "arrow", "tar"])
def test_the_same_as_on_a_disk(format: Any, bucket: fs.FileSystem, tmp_path: Path) -> None:
    inputs = made_inputs(tmp_path / "in")
    for name, content in inputs.items():
        put(bucket, f"in/{name}", content)
    tokenize_files(tmp_path / "in", tmp_path / "out", column="caption", format=format)
    run = partial(tokenize_files, "s3://bucket/in", "s3://bucket/out", column="caption", format=format)
    report = run()
    assert (report.output, report.files, report.counts.texts) == ("s3://bucket/out", 4, 24)
    found, wanted = objects(bucket, "out/"), tree(tmp_path / "out")
    assert found.keys() == wanted.keys()
    if format == "parquet":
        for name in ("a", "b", "d"):
            assert pq.read_table(io.BytesIO(found[f"{name}.parquet"])).equals(
                pq.read_table(tmp_path / f"out/{name}.parquet")
            )
    again = run(resume=True)
    assert (again.finished_before, again.made_anew, again.texts_now) == (4, 0, 0)
    assert objects(bucket, "out/") == found
    assert check_outputs("s3://bucket/out") == []
    assert main(["check", "s3://bucket/out"]) == 0
    put(bucket, "in/b.jsonl", json_lines(["other"]))
    put(bucket, f"out/a.{format}", found[f"a.{format}"][:-5])
    again = run(resume=True)
    assert (again.finished_before, again.made_anew) == (2, 2)
    with pytest.raises(BadInputError, match=f"s3://bucket/out/a.{format} exists, and 3 more; resume"):
        run(overwrite=False)


def test_from_here_to_there_and_back(bucket: fs.FileSystem, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar(TEXTS))
    tokenize_files(tmp_path / "a.tar", "s3://bucket/x/a.tar", keep="*")
    tokenize_files("s3://bucket/x/a.tar", tmp_path / "ids.parquet", keep=["jpg"])
    assert ids_in(tmp_path / "ids.parquet") == expected(TEXTS)
    put(bucket, "a dir/ü=1#2.txt", text_file(TEXTS))
    put(bucket, "a dir/.hidden.txt", b"x\n")
    put(bucket, "a dir/more/b.txt", b"a cat\n")
    tokenize_files("s3://bucket/a dir/*.txt", tmp_path / "one")
    assert list(tree(tmp_path / "one")) == ["ü=1#2.parquet"]
    tokenize_files("s3://bucket/a*/**/*.txt", tmp_path / "all")
    assert sorted(tree(tmp_path / "all")) == ["a dir/more/b.parquet", "a dir/ü=1#2.parquet"]
    assert main(["count", "s3://bucket/a dir/more/b.txt"]) == 0
    for wrong, message in (
        ("s3://bucket/nothing.txt", r"s3://bucket/nothing\.txt: no such file or folder"),
        ("s3://bucket/nothing/*.txt", "no file matches"),
        ("nowhere://bucket/x.txt", "unknown kind of store nowhere://"),
        ("s3://bucket/x.txt?color=red", "'color' is no option of s3://"),
    ):
        with pytest.raises(BadInputError, match=message):
            tokenize_files(wrong, tmp_path / "out", column="caption")


def test_throttled_requests_are_repeated_so_often(server: S3Server, bucket: fs.FileSystem, tmp_path: Path) -> None:
    put(bucket, "a.txt", text_file(TEXTS))
    seen: dict[tuple[str, str, str], int] = {}

    def twice(method: str, path: str, query: str) -> tuple[str, str] | None:
        key = method, path, query
        seen[key] = seen.get(key, 0) + 1
        return SLOW_DOWN if seen[key] <= 1 and method in ("GET", "PUT") else None

    server.fault = twice
    tokenize_files("s3://bucket/a.txt", "s3://bucket/ids.parquet")
    assert max(seen.values()) > 1
    server.fault = lambda method, path, query: SLOW_DOWN if method == "PUT" else None
    server.requests.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filesystems, "ATTEMPTS", 2)
        filesystems._filesystem.cache_clear()
        with pytest.raises(BadInputError, match=r"s3://bucket/other\.parquet: .*SLOW_DOWN"):
            tokenize_files("s3://bucket/a.txt", "s3://bucket/other.parquet")
    assert [method for method, path, _ in server.requests].count("PUT") == 2
    server.fault = lambda method, path, query: None
    assert sorted(objects(bucket)) == ["a.txt", "ids.parquet"]


def test_a_bucket_that_refuses(server: S3Server, bucket: fs.FileSystem, tmp_path: Path, capsys: Any) -> None:
    put(bucket, "a.txt", text_file(TEXTS))
    server.fault = lambda method, path, query: DENIED if method in ("PUT", "POST") else None
    with pytest.raises(BadInputError, match=r"s3://bucket/ids\.npy: .*ACCESS_DENIED"):
        tokenize_files("s3://bucket/a.txt", "s3://bucket/ids.npy")
    server.fault = lambda method, path, query: DENIED
    key = server.endpoint.removeprefix("http://")
    url = f"s3://user-name:top+secret@bucket/a.txt?endpoint_override={key}&scheme=http&region=us-east-1"
    assert main(["tokenize", url, "-o", str(tmp_path / "x.npy")]) == 2
    said = capsys.readouterr().err
    assert "s3://bucket/a.txt" in said and "user-name" not in said and "secret" not in said
    server.fault = lambda method, path, query: None
    tokenize_files(url, tmp_path / "x.parquet")
    assert ids_in(tmp_path / "x.parquet") == expected(TEXTS)


def test_no_error_shows_a_secret(tmp_path: Path, capsys: Any) -> None:
    for url in (
        "s3://a:top+secret@/x.txt",
        "s3://a:top+secret@b/*.txt?region=\n",
        "s3://a:top+secret@b/x.txt?what=top+secret",
        "https://user:top+secret@127.0.0.1:1/x.txt?X-Amz-Signature=top+secret",
        "az://a:top+secret@container/x.txt?sas=top+secret",
        "nope://user:top+secret@b/x.txt",
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("cliptok.batch.stores.errors.ATTEMPTS", 1)
            for arguments in ([url, "-o", str(tmp_path / "o/")], [str(tmp_path / "a.txt"), "-o", url]):
                assert main(["tokenize", *arguments]) == 2
        said = capsys.readouterr()
        assert "top+secret" not in said.out + said.err and "top%2B" not in said.err, url


def test_what_a_library_says_loses_what_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from+the/environment")
    url = StorePath("s3://name:top+secret@bucket/x.txt").url
    for secret in ("top+secret", "from+the/environment"):
        with pytest.raises(OSError, match=r"signing with \.\.\. failed") as found, errors.told(url):
            raise RuntimeError(f"signing with {secret} failed")
        assert secret not in str(found.value)


def test_killed_while_it_uploads(server: S3Server, bucket: fs.FileSystem, tmp_path: Path) -> None:
    """A kill between the parts of an upload leaves no object; the same job then makes it whole."""
    (tmp_path / "a.txt").write_text("".join(f"{random.Random(i).random()} {i}\n" for i in range(40_000)))
    command = [sys.executable, "-m", "cliptok", "tokenize", str(tmp_path / "a.txt"), "-o", "s3://bucket/a.npy"]
    stalled, go_on = threading.Event(), threading.Event()

    def stall(method: str, path: str, query: str) -> None:
        if "partNumber=2" in query:
            stalled.set()
            go_on.wait(30)

    server.fault = stall
    job = subprocess.Popen([*command, "--max-length", "77"], stderr=subprocess.DEVNULL)
    assert stalled.wait(120)
    job.kill()
    job.wait()
    go_on.set()
    time.sleep(0.1)
    assert objects(bucket) == {}
    server.fault = lambda method, path, query: None
    assert main([*command[3:], "--max-length", "77"]) == 0
    tokenize_files(tmp_path / "a.txt", tmp_path / "a.npy", max_length=77)
    assert objects(bucket) == {"a.npy": (tmp_path / "a.npy").read_bytes()}


@pytest.mark.parametrize("format", ["parquet", "npy", "safetensors", "arrow", "tar"])
def test_parts_are_objects(format: Any, server: S3Server, bucket: fs.FileSystem, tmp_path: Path) -> None:
    """A job that a refused request ends goes on behind the parts that are there, and ends with the same bytes."""
    texts = [f"{number} cats" for number in range(70)]
    put(bucket, "in.txt", text_file(texts))
    run = partial(tokenize_files, "s3://bucket/in.txt", part_rows=20, progress=False)
    run(f"s3://bucket/whole/in.{format}")
    server.fault = lambda method, path, query: DENIED if "000002.part" in path else None
    with pytest.raises(BadInputError, match=r"ACCESS_DENIED"):
        run(f"s3://bucket/out/in.{format}")
    server.fault = lambda method, path, query: None
    assert sorted(objects(bucket, "out/")) == [f".in.{format}.parts/{number:06}.part" for number in range(2)]
    server.requests.clear()
    run(f"s3://bucket/out/in.{format}", resume=True)
    assert not [path for method, path, _ in server.requests if method == "PUT" and "000001.part" in path]
    assert objects(bucket, "out/") == objects(bucket, "whole/")
    tokenize_files("s3://bucket/in.txt", tmp_path / f"in.{format}")
    if format in ("npy", "tar"):  # The others say how rows are grouped.
        ours, alone = objects(bucket, "out/")[f"in.{format}"], (tmp_path / f"in.{format}").read_bytes()
        assert ours[4096 * (format == "tar") :] == alone[4096 * (format == "tar") :]


@pytest.mark.parametrize("at", ["partNumber=2", "uploads", "uploadId="])
def test_an_upload_that_fails_leaves_nothing(at: str, server: S3Server, bucket: fs.FileSystem, tmp_path: Path) -> None:
    """Of several requests, the first, one in the middle, and the one that would complete it."""
    (tmp_path / "a.txt").write_text("".join(f"{number} cats\n" for number in range(40_000)))
    wanted = "PUT" if "part" in at else "POST"
    server.fault = lambda method, path, query: DENIED if method == wanted and query.startswith(at) else None
    with pytest.raises(BadInputError, match=r"s3://bucket/a\.npy: .*ACCESS_DENIED"):
        tokenize_files(tmp_path / "a.txt", "s3://bucket/a.npy", max_length=77)
    assert any(method == wanted and query.startswith(at) for method, _, query in server.requests)
    server.fault = lambda method, path, query: None
    assert objects(bucket) == {}


def test_a_job_that_fails_leaves_nothing(bucket: fs.FileSystem, tmp_path: Path) -> None:
    rows = [f"a {number} {'very ' * 20}" for number in range(40_000)]
    parquet(tmp_path / "a.parquet", [*rows, None])
    with pytest.raises(BadInputError, match="row 40001 has no text"):
        tokenize_files(tmp_path / "a.parquet", "s3://bucket/a.npy", column="caption")
    assert objects(bucket) == {}


@pytest.mark.parametrize("kept", [1 << 32, 0])
def test_one_part_is_uploaded_at_a_time(
    kept: int, server: S3Server, bucket: fs.FileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one is made meanwhile, and joining fetches only what is not here any more."""
    monkeypatch.setattr(parts, "_COPIED", kept)
    (tmp_path / "a.txt").write_bytes(text_file([f"{number} cats" for number in range(100)]))
    running, most = set(), []

    def slow(method: str, path: str, query: str) -> None:
        if method == "PUT":
            running.add(path)
            most.append(len(running))
            time.sleep(0.05)
            running.discard(path)

    server.fault = slow
    tokenize_files(tmp_path / "a.txt", "s3://bucket/a.npy", part_rows=20, max_length=8)
    assert max(most) == 1 and len(most) == 6
    fetched = [path for method, path, _ in server.requests if method == "GET" and path.endswith(".part")]
    assert bool(fetched) == (kept == 0)
    tokenize_files(tmp_path / "a.txt", tmp_path / "a.npy", max_length=8)
    assert objects(bucket) == {"a.npy": (tmp_path / "a.npy").read_bytes()}


def test_outputs_beside_one_that_is_refused(server: S3Server, bucket: fs.FileSystem, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        (tmp_path / "in" / f"{number}.txt").write_bytes(text_file(TEXTS))
    server.fault = lambda method, path, query: DENIED if method == "PUT" and path.endswith("/0.npy") else None
    run = partial(tokenize_files, tmp_path / "in", "s3://bucket/out", format="npy", max_length=8)
    with pytest.raises(BadInputError, match=r"s3://bucket/out/0\.npy: .*ACCESS_DENIED"):
        run()
    there = sum(name.endswith(".npy") for name in objects(bucket, "out/"))
    server.fault = lambda method, path, query: None
    report = run(resume=True)
    assert (report.finished_before, report.files) == (there, 6)  # Each that is there is in the index.


def test_a_server_that_fails_to_look_for_folders(server: S3Server, bucket: fs.FileSystem, tmp_path: Path) -> None:
    """As s3s-fs does, which keeps objects in folders: parts are removed one by one then, and nothing is repeated."""
    (tmp_path / "a.txt").write_bytes(text_file([f"{number} cats" for number in range(50)]))
    server.fault = lambda method, path, query: BROKEN if method == "HEAD" and path.endswith(".parts") else None
    tokenize_files(tmp_path / "a.txt", "s3://bucket/a.npy", part_rows=20)
    assert list(objects(bucket)) == ["a.npy"]
    assert sum(method == "HEAD" and path.endswith(".parts") for method, path, _ in server.requests) == 1


def test_fsspec_is_asked_again_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors.time, "sleep", lambda seconds: None)
    asked: list[int] = []

    def fail(until: int, error: type[Exception]) -> str:
        asked.append(1)
        if len(asked) < until:
            raise error("busy")
        return "done"

    assert errors.trying(partial(fail, filesystems.ATTEMPTS, OSError)) == "done"
    for error, times in ((OSError, filesystems.ATTEMPTS), (PermissionError, 1), (FileNotFoundError, 1)):
        asked.clear()
        with pytest.raises(error):
            errors.trying(partial(fail, 100, error))
        assert len(asked) == times


def test_an_object_that_changes_while_it_is_read(server: S3Server, bucket: fs.FileSystem, tmp_path: Path) -> None:
    put(bucket, "a.txt", text_file(TEXTS))

    def change(method: str, path: str, query: str) -> None:
        if method == "GET" and path.endswith("a.txt"):
            server.fault = lambda method, path, query: None
            put(bucket, "a.txt", text_file(TEXTS)[::-1])  # As long as before.

    server.fault = change
    with pytest.raises(BadInputError, match=r"a\.txt: it changed while it was read"):
        tokenize_files("s3://bucket/a.txt", tmp_path / "ids.npy", on_undecodable="replace")


def test_memory(tmp_path: Path) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe_file("/in/a.txt", text_file(TEXTS))
    memory.pipe_file("/in/b/c.txt", b"a cat\n")
    tokenize_files("memory://in", "memory://out", format="npy")
    assert sorted(memory.find("/out")) == ["/out/a.npy", "/out/b/c.npy", "/out/index.jsonl"]
    assert tokenize_files("memory://in", "memory://out", format="npy", resume=True).finished_before == 2
    assert check_outputs("memory://out") == []
    memory.pipe_file("/in/a.txt", text_file(TEXTS[:3]))
    assert tokenize_files("memory://in", "memory://out", format="npy", resume=True).made_anew == 1
    memory.rm("/in", recursive=True)
    memory.rm("/out", recursive=True)


class _Web(SimpleHTTPRequestHandler):
    """A server of files that gives ranges, as most do, or none, as Python's own."""

    ranges = True

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        content = Path(self.directory, self.path.partition("?")[0][1:]).read_bytes()
        asked = self.headers.get("Range") if self.ranges else None
        first, last = 0, len(content) - 1
        if asked:
            first, last = (int(text) for text in asked.removeprefix("bytes=").split("-"))
            last = min(last, len(content) - 1)
        self.send_response(206 if asked else 200)
        if self.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content[first : last + 1])

    do_HEAD = do_GET  # noqa: N815 (the name that the base calls)


@pytest.mark.parametrize("ranges", [True, False])
def test_the_web(ranges: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "www").mkdir()
    parquet(tmp_path / "www" / "a.parquet", TEXTS)
    monkeypatch.setattr(_Web, "ranges", ranges)
    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Web, directory=str(tmp_path / "www")))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{web.server_port}/a.parquet?token=secret"
        report = tokenize_files(url, tmp_path / "out", column="caption", dry_run=True)
        assert "secret" not in report.outputs[0].input
        tokenize_files(url, tmp_path / "out", column="caption")
        assert ids_in(tmp_path / "out" / "a.parquet") == expected(TEXTS)
    finally:
        web.shutdown()
        web.server_close()


def test_reading_ahead_reads_the_same() -> None:
    content = random.Random(0).randbytes(3 * BLOCK + 5)
    asked = []

    def fetch(begin: int, end: int) -> bytes:
        asked.append(begin)
        return content[begin:end]

    with BlockFile(len(content), fetch) as file:
        assert file.read() == content and sorted(asked) == [number * BLOCK for number in range(4)]
    pick = random.Random(1)
    for size in (0, 5, TAIL, BLOCK, BLOCK + 1, BLOCK + TAIL // 2, len(content)):
        twin = io.BytesIO(content[:size])
        with BlockFile(size, fetch) as file:
            if pick.random() < 0.5:
                file.read_ahead(pick.randrange(size + 1))
            for _ in range(60):
                if pick.random() < 0.7:
                    at = pick.choice([pick.randrange(size + 9), max(0, size - 8), max(0, size - TAIL), 0])
                    assert (file.seek(at), twin.seek(at)) == (at, at)
                count = pick.choice([0, 1, 8, 100, TAIL, BLOCK, 2 * BLOCK, -1])
                assert file.read(count) == twin.read(count) and file.tell() == twin.tell()
    with BlockFile(9, lambda begin, end: b"short") as file, pytest.raises(OSError, match="5 bytes came where 9 were"):
        file.read()


def test_what_is_read_twice_is_fetched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Parquet is read: the footer, then a row group for its fingerprint, and what lies before it for its rows."""
    monkeypatch.setattr(reading_ahead, "_KEPT", 8)
    size, asked = 30 * BLOCK, []

    def fetch(begin: int, end: int) -> bytes:
        asked.append((begin, end))
        return bytes(end - begin)

    with BlockFile(size, fetch) as file:
        file.seek(size - 8)
        file.read(8)
        assert asked == [(size - TAIL, size)]
        file.read_ahead()
        for begin in range(0, size, BLOCK // 2):
            for at in (begin, max(0, begin - BLOCK)):
                file.seek(at)
                file.read(BLOCK // 2)
    assert len(asked) == len(set(asked)) == 1 + 30


def test_globs_are_those_of_the_disk(tmp_path: Path) -> None:
    names = ["a.txt", "b/a.txt", "b/c/a.txt", ".h/a.txt", "b/.a.txt", "a[1].txt", "b/x1.csv"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    for pattern in ("*.txt", "**/*.txt", "b/**/a.txt", "?/*", "**/[ab].txt", "b/[!a]*", "a[[]1].txt", "*/c/*", "**/*"):
        matches = map(Path, glob.glob(f"{tmp_path}/{pattern}", recursive=True))  # noqa: PTH207 (it is what jobs call)
        wanted = {path.relative_to(tmp_path).as_posix() for path in matches if path.is_file()}
        assert {name for name in names if _matches(name.split("/"), pattern.split("/"))} == wanted, pattern


def test_paths() -> None:
    path = StorePath("s3://u:p@bucket/a/b.c.txt?region=x")
    assert (str(path), path.name, path.stem, path.suffix) == ("s3://bucket/a/b.c.txt?...", "b.c.txt", "b.c", ".txt")
    assert (
        str(path.url) == "s3://u:p@bucket/a/b.c.txt?region=x" and str(path.parent.url) == "s3://u:p@bucket/a?region=x"
    )
    assert path.relative_to(path.parent.parent).as_posix() == "a/b.c.txt"
    assert pickle.loads(pickle.dumps(path)) == path
