"""The command line of the bare package: lines of text, and errors for what needs an extra or means nothing."""

import gzip
from pathlib import Path

from support.scripts import run_python


def test_lines_need_nothing_and_all_else_says_what(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa cat\na dog\n")
    (tmp_path / "packed.txt").write_bytes(gzip.compress(b"a cat\n"))
    (tmp_path / "wide.txt").write_bytes("a cat\n".encode("utf-16"))
    (tmp_path / "c.csv").write_text("id,caption\n1,a cat\n")
    commands = [
        (["tokenize", "a.txt"], 0, "49406 320 2368 49407\n49406 320 1929 49407\n"),
        (["count", "a.txt", "--each"], 0, "4\n4\n"),
        (["count", "a.txt", "--delimiter", ";"], 2, "delimiter: for CSV, JSON lines or Parquet"),
        (["count", "a.txt", "--no-header", "--no-quotes"], 2, "header, quotes: for CSV"),
        (["count", "a.txt", "--captions", "all"], 2, "captions: for"),
        (["count", "packed.txt"], 2, "packed.txt: this is compressed by gzip"),
        (["tokenize", "wide.txt"], 2, "wide.txt: this is UTF-16"),
        (["count", "c.csv", "--column", "caption"], 2, "needs pyarrow; pip install 'cliptok[batch]'"),
        (["show", "--file", "a.txt", "--first", "1"], 0, "cat</w>"),
        (["report", "a.txt"], 2, "cliptok report needs pyarrow"),
        (["check", "a.txt"], 2, "cliptok check needs pyarrow"),
        (["tokenize", "a.txt", "-o", "i.npy"], 2, "cliptok tokenize --out needs pyarrow"),
        (["embed", "a.txt", "-o", "i.npy", "--model", "m", "--ray"], 2, "needs torch and pyarrow and ray; pip"),
    ]
    source = f"""
        import io, os, sys
        from contextlib import redirect_stderr, redirect_stdout
        sys.modules["pyarrow"] = sys.modules["torch"] = sys.modules["ray"] = None
        from cliptok.cli import main
        os.chdir({str(tmp_path)!r})
        for words, status, said in {commands!r}:
            with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as error:
                found = main(words)
            shown = (error if status else out).getvalue()
            assert found == status and said in shown, (words, found, shown)
    """
    assert run_python(source) == ""
    source = """
        import sys
        sys.modules["pyarrow"] = None
        from cliptok.cli import main
        sys.stderr = sys.stdout
        sys.exit(main(["tokenize"]) - 2)
    """
    (tmp_path / "l.jsonl").write_text('{"caption": "a cat"}\n')
    with (tmp_path / "l.jsonl").open() as lines:
        assert "standard input: the first line is a JSON object" in run_python(source, stdin=lines)
