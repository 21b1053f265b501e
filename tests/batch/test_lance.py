"""Lance datasets: rows, records, resume and checks as of files."""

from pathlib import Path

import pytest

from cliptok.batch import BadInputError, check_outputs, tokenize_files
from support.made import TEXTS, expected, parquet

lance = pytest.importorskip("lance")


def test_rows_and_order(tmp_path: Path) -> None:
    texts = [f"{number} cats" for number in range(500)]
    path = parquet(tmp_path / "a.parquet", texts)
    tokenize_files(path, tmp_path / "o.lance", column="caption", keep="id", part_rows=120)
    dataset = lance.dataset(str(tmp_path / "o.lance"))
    table = dataset.to_table()
    assert table.column("id").to_pylist() == list(range(500))
    assert table.column("input_ids").to_pylist() == expected(texts)
    assert not list(tmp_path.glob(".*"))
    parquet(path, [])
    tokenize_files(path, tmp_path / "o.lance", column="caption", lists="fixed")
    assert lance.dataset(str(tmp_path / "o.lance")).count_rows() == 0


def test_resumed_and_checked(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "in").mkdir(exist_ok=True)
        parquet(tmp_path / "in" / f"{name}.parquet", TEXTS)
    out = tmp_path / "out"

    def run(**options: object) -> tuple[int, int]:
        report = tokenize_files(tmp_path / "in", out, column="caption", format="lance", **options)  # type: ignore[arg-type]
        return report.finished_before, report.made_anew

    assert run() == (0, 0)
    assert run(resume=True) == (2, 0) and check_outputs(out) == [] and check_outputs(out / "a.lance") == []
    assert run(resume=True, max_length=9) == (0, 2)
    with pytest.raises(BadInputError, match=r"a\.lance exists"):
        run(overwrite=False)
    (data,) = (out / "a.lance" / "data").iterdir()
    content = bytearray(data.read_bytes())
    content[len(content) // 3] ^= 1
    data.write_bytes(content)
    (found,) = check_outputs(out)
    assert found.path == str(out / "a.lance")
    assert run(resume=True, max_length=9, check=True) == (1, 1) and check_outputs(out) == []
    with pytest.raises(BadInputError, match="folders of this machine"):
        tokenize_files(tmp_path / "in", "memory://out", column="caption", format="lance")
