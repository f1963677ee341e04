"""Runs drills and renews their rows in docs/drills.md.

python -m tests.drills                     all of them
python -m tests.drills --only camera       those with this in their name
python -m tests.drills --list              their names
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tests.drills.catalogue import DRILLS, Drill
from tests.drills.report import DOCUMENT, renew, row, span
from tests.drills.stand import CannotDrillError, Tally, stand
from tests.kit.triton_server import embedded_triton_in_background

ROOT = Path(__file__).parents[2]
OWN_MOUNTS = "INSPECTOR_DRILLS_OWN_MOUNTS"


def main() -> int:
    """Returns the number of drills that went wrong."""
    arguments, chosen = _arguments()
    if arguments.list:
        _say("\n".join(drill.name for drill in chosen))
        return 0
    _with_mounts_of_our_own()
    wrong = 0
    with embedded_triton_in_background() as triton:
        for drill in chosen:
            times = arguments.repetitions or drill.repetitions
            wrong += not _run(drill, triton.grpc_url, times, arguments.seed)
    return wrong


def _run(drill: Drill, triton_url: str, repetitions: int, seed: int) -> bool:
    started_s = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="drill-"))
    tally = Tally()
    try:
        with stand(folder, triton_url=triton_url, seed=seed, repetitions=repetitions) as at:
            tally = at.tally
            drill.run(at)
    except CannotDrillError as missing:
        _say(f"{drill.name}: left out, {missing}")
        return True
    except KeyboardInterrupt:
        raise
    except BaseException as failed:  # noqa: BLE001 - pytest's own failures are no Exceptions
        tally.problems.append(f"{type(failed).__name__}: {failed}")
        traceback.print_exc()
    drill.judge(tally)
    took_s = time.monotonic() - started_s
    _say(
        f"{drill.name}: {'ok' if tally.is_clean else 'WRONG'} in {took_s:.0f} s,"
        f" {tally.units} units, detected {span(tally.detect_s)}, recovered {span(tally.recover_s)}"
    )
    for problem in tally.problems:
        _say(f"  {problem[:2000]}")
    if tally.is_clean:
        _renew(drill, tally)
    else:
        _say(f"  its files: {folder}")
    return tally.is_clean


def _renew(drill: Drill, tally: Tally) -> None:
    rows = {drill.name: row(drill.name, tally, datetime.now(UTC).date())}
    text = renew(DOCUMENT.read_text(), rows, [known.name for known in DRILLS])
    DOCUMENT.write_text(text)


def _with_mounts_of_our_own() -> None:
    """What a drill mounts is gone when it ends, however it ends."""
    if os.geteuid() == 0 and OWN_MOUNTS not in os.environ:
        os.environ[OWN_MOUNTS] = "1"
        with suppress(FileNotFoundError):
            command = ["unshare", "--mount", "--propagation", "private", sys.executable]
            os.execvp(command[0], [*command, "-m", "tests.drills", *sys.argv[1:]])


def _arguments() -> tuple[argparse.Namespace, list[Drill]]:
    """What was asked for, and the drills that are meant."""
    parser = argparse.ArgumentParser(prog="make drills", description=__doc__)
    parser.add_argument("--only", default="", help="a part of the name")
    parser.add_argument("--repetitions", type=int, default=0, help="instead of each drill's own")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    chosen = [drill for drill in DRILLS if arguments.only.lower() in drill.name.lower()]
    if not chosen:
        parser.error(f"--only {arguments.only!r}: in the name of no drill; --list names them")
    return arguments, chosen


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
