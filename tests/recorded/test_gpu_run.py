"""`make gpu` from end to end, small: every step, the files that it writes, and what becomes of a step that is late."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

BENCHES = Path(__file__).parents[2] / "benches"
ANY_TIME = 300


@pytest.fixture(scope="module")
def run():
    """The modules of `benches/gpu`, by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHES))
        patch.syspath_prepend(str(BENCHES / "gpu"))
        yield importlib.import_module


@pytest.fixture(scope="module")
def rows(run):
    """All rows of a small run."""
    settings = run("settings").Settings(smoke=True)
    assert not settings.computes
    found = {}
    for name, step in run("steps").STEPS.items():
        if name != "tests":  # in a process of its own below
            found[name] = [{"step": name, **row} for row in step.run(settings)]
    return found


def test_every_step_has_its_rows(rows):
    whats = {name: {row["what"] for row in found} for name, found in rows.items()}
    assert {"attention over nodes", "causal attention", "LayerNorm", "encode"} <= whats["kernels"]
    assert {"encode, odd sizes", "forward, odd sizes"} <= whats["shapes"]
    assert {"captions", "zero-shot", "one text"} <= whats["texts"]
    assert {"SD 1, 1 prompts", "SDXL, 64 prompts", "77 positions, batch 128"} <= whats["conditioning"]
    assert {row["part"] for row in rows["layers"] if row["what"] == "layer"} >= {"project", "attend", "attend_and_mlp_"}
    assert whats["compiled"] == {"compiled"} and whats["fused"] == {"fused"} and whats["eight_bit"] == {"fp8"}


def test_files_and_tables(rows, run, tmp_path, monkeypatch):
    tables = run("tables")
    record = {"date": "2030-01-01T00:00:00", "rows": [row for found in rows.values() for row in found]}
    path = tables.save(record, tmp_path)
    assert path.name == "gpu-2030-01-01-fake-sm-80.json" and path.read_text() == json.dumps(record, indent=1) + "\n"
    assert "transformers padded, captions" in path.with_suffix(".svg").read_text()
    written = path.with_suffix(".md").read_text()
    assert "| zero-shot (800) | bfloat16 |" in written and "times TensorRT FP8, RTX 6000 Ada" in written
    monkeypatch.setattr(tables, "PAGE", tmp_path / "page.md")
    tables.PAGE.write_text(f"before\n{tables.BEGIN}\nold\n{tables.END}\nafter\n")
    tables.write_tables(record)
    assert tables.PAGE.read_text() == f"before\n{tables.BEGIN}\n{written}{tables.END}\nafter\n"


@pytest.mark.parametrize("error", [0.1, float("nan")])
def test_a_wrong_number_is_no_result_and_fails_its_step(run, monkeypatch, tmp_path, error):
    """And loses neither its step's other rows."""
    settings, check = run("settings").Settings(smoke=True), run("settings").check
    settings.__dict__["computes"] = True
    main = importlib.util.module_from_spec(importlib.util.spec_from_file_location("gpu", BENCHES / "gpu/__main__.py"))
    main.__spec__.loader.exec_module(main)

    def step(settings):
        yield {"what": "attention", "error": check(error, 0.01, "attention", settings)}
        yield {"what": "norm", "error": check(1e-3, 0.01, "norm", settings)}

    monkeypatch.setitem(main.STEPS, "kernels", SimpleNamespace(run=step))
    with pytest.raises(SystemExit, match="attention is off by"):
        main.run_step("kernels", settings, tmp_path / "rows")
    rows = [json.loads(line) for line in (tmp_path / "rows").read_text().splitlines()]
    assert [row["what"] for row in rows] == ["attention", "norm"]
    assert [row["what"] for row in run("tables").rows_of({"rows": rows}, "kernels")] == ["norm"]


@pytest.mark.parametrize("minutes", [ANY_TIME / 60, 0])
def test_steps_are_processes_with_their_own_time(tmp_path, minutes):
    command = [sys.executable, BENCHES / "gpu", "--smoke", "--out", tmp_path, "--minutes", str(minutes)]
    done = subprocess.run([*command, "--steps", "device"], capture_output=True, text=True, timeout=ANY_TIME)
    (path,) = tmp_path.glob("gpu-*.json")
    record = json.loads(path.read_text())
    if minutes:
        assert done.returncode == 0, done.stdout + done.stderr
        assert record["steps"]["device"]["status"] == "ok" and record["rows"][0]["name"] == "Fake sm_80"
    else:
        assert done.returncode == 1 and "out of time" in record["steps"]["device"]["status"]
