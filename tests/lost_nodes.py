"""A Ray cluster of two machines, one of which is lost in the middle of each job: `lost_nodes.py`, or `make lost-nodes`.

The machines are `ray.cluster_utils.Cluster`'s, with an object store of 80 MB that is kept full, and `kill -9` of its
raylet ends one. Ids must then equal, byte for byte, those of a job on this machine alone, and embeddings and
conditioning up to rounding.
"""

import logging
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
from ray.cluster_utils import Cluster

from cliptok.batch import embed_files, tokenize_files
from cliptok.encoder import TextConfig, TextEncoder
from cliptok.prompts import Conditioner
from support.made import text_file, tree

MACHINE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000}


def main(*kinds: str) -> None:
    """Jobs of each kind."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = [f"a photo of {number} cats {'very ' * (number % 13)}" for number in range(30_000)]
        (folder / "texts.txt").write_bytes(text_file(texts))
        (folder / "prompts.txt").write_bytes(text_file(texts[:240]))
        made: dict[str, Any] = {"width": 64, "layers": 2, "heads": 4, "mlp": 128}
        TextEncoder(TextConfig(projection=32, **made)).save_pretrained(folder / "model")
        conditioner = Conditioner(TextEncoder(TextConfig(**made)), dialect="diffusers")
        embed: dict[str, Any] = {"inputs": folder / "texts.txt", "part_rows": 1000, "format": "npy"}
        options: dict[str, dict[str, Any]] = {
            "tokenize": {"inputs": folder / "texts.txt", "part_rows": 300},
            "embed": {**embed, "model": folder / "model", "device": "cpu"},
            "pipeline": {**embed, "inputs": folder / "prompts.txt", "pipeline": conditioner, "part_rows": 10},
        }
        cluster = Cluster(initialize_head=True, head_node_args={**MACHINE, "include_dashboard": False})
        try:
            ray.init(cluster.address, logging_level=logging.CRITICAL, log_to_driver=False)
            held = [ray.get(ray.put(np.ones(8_000_000, np.uint8))) for _ in range(12)]
            for kind in kinds or options:
                one(cluster, folder / kind, tokenize_files if kind == "tokenize" else embed_files, options[kind])
            assert all(array[0] for array in held)
        finally:
            ray.shutdown()
            cluster.shutdown()


def one(cluster: Cluster, folder: Path, run: Any, options: dict[str, Any]) -> None:
    """A job during which the second machine is lost."""
    node = cluster.add_node(**MACHINE)
    cluster.wait_for_nodes()
    run(out=folder / "here", progress=False, **options)
    killed: list[float] = []

    def kill() -> None:
        while len(list(folder.glob("there/.*.parts/*.part"))) < 4:
            time.sleep(0.005)
        os.kill(node.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        killed.append(time.monotonic())

    threading.Thread(target=kill, daemon=True).start()
    report = run(out=folder / "there", ray=True, progress=False, **options)
    cluster.remove_node(node)
    assert killed, "the job was over before the machine was lost"
    here, there = tree(folder / "here"), tree(folder / "there")
    assert here.keys() == there.keys() and report.texts_now == report.counts.texts
    if here != there:
        assert run is embed_files
        for name in here:
            if name.endswith(".npy"):
                a, b = (np.load(folder / side / name) for side in ("here", "there"))
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    after = time.monotonic() - killed[0]
    same = "byte-equal" if here == there else "equal up to rounding"
    print(
        f"{folder.name}: machine lost, {after:.1f} s later all {report.texts_now:,} texts are there, {same}", flush=True
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
