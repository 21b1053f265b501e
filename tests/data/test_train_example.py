"""The training example: its captions, and that it learns."""

import json
import re
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_captions() -> None:
    images = [json.loads(line) for line in (EXAMPLES / "captions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(images) == 96 and all(len(set(image["captions"])) == 3 for image in images)
    assert len({caption for image in images for caption in image["captions"]}) == 288


def test_the_loss_falls(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", EXAMPLES / "train_text_tower.py", "--epochs", "12"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    losses = [float(loss) for loss in re.findall(r"loss (\S+)", done.stdout)]
    assert len(losses) == 12
    assert losses[0] > 3 and losses[-1] < 1  # 3.7 is the loss of chance among 40 images
    assert re.search(r"found again by another caption: \d+% before, \d+% after", done.stdout)
