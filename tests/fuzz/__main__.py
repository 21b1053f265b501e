"""Damage files until the time is up, and count: PYTHONPATH=tests python -m fuzz [TARGET ...] --seconds 3600

A file that gives anything but a result or a refusal of one line is kept, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from random import Random

from fuzz.damage import damaged
from fuzz.targets import check, targets

SLOW = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=float, default=10, help="for each target")
    parser.add_argument("--seed", type=int, default=time.time_ns() & 0xFFFFFFFF)
    parser.add_argument("--keep", type=Path, default=Path("target/fuzz"), help="where files that fail are kept")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, hang)
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, target in targets(Path(folder)).items():
            if options.targets and name not in options.targets:
                continue
            pick, runs, read, failed = Random(f"{name} {options.seed}"), 0, 0, set()
            end = time.monotonic() + options.seconds
            while time.monotonic() < end:
                file = pick.choice(sorted(target.sound))
                content = damaged(target.sound[file], pick)
                signal.alarm(SLOW)
                try:
                    read += check(target, Path(folder, name), file, content)
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    where = traceback.extract_tb(error.__traceback__)[-1]
                    if (kind := (type(error).__name__, where.filename, where.lineno)) not in failed:
                        failed.add(kind)
                        kept = options.keep / name / f"{options.seed}-{runs}-{file.replace('/', '-')}"
                        kept.parent.mkdir(parents=True, exist_ok=True)
                        kept.write_bytes(content)
                        print(f"{kept}: {type(error).__name__}: {str(error)[:200]} ({where.filename}:{where.lineno})")
                finally:
                    signal.alarm(0)
                runs += 1
            failures += len(failed)
            print(
                f"{name}: {runs:,} files, {read:,} read, {runs - read:,} refused, {len(failed)} failures",
                flush=True,
            )
    return 1 if failures else 0


def hang(*_: object) -> None:
    raise TimeoutError(f"still reading after {SLOW} s")


if __name__ == "__main__":
    sys.exit(main())
