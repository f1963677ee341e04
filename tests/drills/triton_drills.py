"""What may happen to Triton."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.drills.redis_drills import let_pass
from tests.drills.stand import DEADLINE_S, Stand, since, triton_down
from tests.drills.triton_process import ControlledTriton
from tests.drills.witness import Witness
from tests.kit.fake_triton import Act, FakeTriton, honest
from tests.kit.line import wait_for
from tests.kit.processes import arguments, descendants
from tests.kit.triton_server import MODEL_REPOSITORY, embedded_triton_in_background

FROZEN_S = 8.0
SLOW_S = 10.0
MISBEHAVING_S = 4.0


def is_ready(http_url: str) -> bool:
    host, _, port = http_url.removeprefix("http://").partition(":")
    connection = HTTPConnection(host, int(port), timeout=1)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def killed(stand: Stand) -> None:
    """SIGKILL; its supervisor starts it again."""
    _killed(stand, lambda server: server)


def model_killed(stand: Stand) -> None:
    """SIGKILL of the process that holds the network; the server goes on and calls itself ready."""
    _killed(stand, _network_of)


def _network_of(server: int) -> int:
    (found,) = (pid for pid in descendants(server) if "/pcb_inspection/" in arguments(pid))
    return found


def _killed(stand: Stand, victim: Callable[[int], int]) -> None:
    with embedded_triton_in_background() as triton:
        line, witness = stand.running(triton=triton.grpc_url)
        for _ in range(stand.repetitions):
            stand.wait_inspecting(witness, units=3)
            pid = triton.process_id
            assert pid is not None
            began_s, began_unix_s = since()
            os.kill(victim(pid), signal.SIGKILL)
            stand.detected("triton_up 0", triton_down(line), began_s)
            wait_for(lambda: is_ready(triton.http_url), within_s=90, what="Triton is back")
            stand.nobody_looks(began_unix_s + 0.05, time.time() - DEADLINE_S)
            stand.recovered(witness)
        stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def frozen(stand: Stand) -> None:
    """SIGSTOP, the connection stays, nothing answers; then it goes on."""
    with embedded_triton_in_background() as triton:
        line, witness = stand.running(triton=triton.grpc_url, inference={"reply_timeout_s": 2.0})
        for _ in range(stand.repetitions):
            stand.wait_inspecting(witness, units=3)
            pid = triton.process_id
            assert pid is not None
            began_s, began_unix_s = since()
            os.kill(pid, signal.SIGSTOP)
            try:
                stand.detected("triton_up 0", triton_down(line), began_s)
                let_pass(FROZEN_S - (time.monotonic() - began_s))
            finally:
                os.kill(pid, signal.SIGCONT)
            stand.nobody_looks(began_unix_s + 0.2, time.time() - DEADLINE_S)
            stand.recovered(witness)
        stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def ten_times_slower(stand: Stand) -> None:
    """It and its models get a tenth of the time: load is shed, verdicts stay true."""
    with embedded_triton_in_background() as triton:
        line, witness = stand.running(triton=triton.grpc_url)
        pid = triton.process_id
        assert pid is not None
        with _a_tenth_of_the_time([pid, *descendants(pid)]):
            let_pass(SLOW_S)
        stand.recovered(witness)
        stand.close(line, witness)


@contextmanager
def _a_tenth_of_the_time(pids: list[int]) -> Iterator[None]:
    over = threading.Event()

    def turn() -> None:
        while not over.is_set():
            for number, pause_s in ((signal.SIGSTOP, 0.09), (signal.SIGCONT, 0.01)):
                for pid in pids:
                    os.kill(pid, number)
                over.wait(pause_s)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=turn, name="slow")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def fake_triton(fake: FakeTriton) -> Iterator[FakeTriton]:
    """The fake on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake-triton")
    thread.start()

    def call(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    call(fake.start())
    try:
        yield fake
    finally:
        call(fake.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _shape(reply: Any) -> None:
    reply.outputs[0].shape[1] += 1


def _nan(reply: Any) -> None:
    raw = bytearray(reply.raw_output_contents[1])
    raw[:4] = b"\x00\x00\xc0\x7f"
    reply.raw_output_contents[1] = bytes(raw)
    pictures = len(reply.raw_output_contents[3]) // 4
    reply.raw_output_contents[3] = b"\x01\x00\x00\x00" * pictures  # so that it counts


def _truncated(reply: Any) -> None:
    reply.raw_output_contents[0] = reply.raw_output_contents[0][:-8]


def _output_missing(reply: Any) -> None:
    del reply.outputs[3]
    del reply.raw_output_contents[3]


def _count_beyond_its_rows(reply: Any) -> None:
    reply.raw_output_contents[3] = b"\xff\xff\x00\x00" * (len(reply.raw_output_contents[3]) // 4)


BAD_REPLIES: dict[str, Act] = {
    "a refused batch": Act(refuse="the batch is refused"),
    "wrong shape": Act(edit=_shape),
    "NaN": Act(edit=_nan),
    "truncated": Act(edit=_truncated),
    "an output missing": Act(edit=_output_missing),
    "more results than there are": Act(edit=_count_beyond_its_rows),
}


def bad_replies(stand: Stand) -> None:
    """Refused batch, wrong shape, NaN, truncated, missing output: each for a while, by the fake."""
    fake = FakeTriton()
    with fake_triton(fake):
        line, witness = stand.running(triton=fake.url)
        for name, act in BAD_REPLIES.items():
            _misbehave(stand, fake, witness, act, name)
        stand.close(line, witness)
    stand.tally.repetitions = len(BAD_REPLIES)


def _misbehave(stand: Stand, fake: FakeTriton, witness: Witness, act: Act, name: str) -> None:
    """Every reply is bad for a while; the witness sees when units stop being inspected."""
    stand.wait_inspecting(witness, units=2)
    began_s, began_unix_s = since()
    fake.script = lambda _number, _request_id: act
    seen = partial(witness.not_inspected_after, began_unix_s)
    stand.detected(f"a unit not inspected: {name}", seen, began_s)
    let_pass(MISBEHAVING_S)
    fake.script = honest
    # A request on its way is answered honestly or not; what was seen well before is not.
    stand.nobody_looks(began_unix_s + 0.5, time.time() - DEADLINE_S)
    stand.recovered(witness)


def unloaded_and_loaded(stand: Stand) -> None:
    """The model is unloaded for a while."""
    with ControlledTriton(MODEL_REPOSITORY, stand.folder / "triton.log") as triton:
        line, witness = stand.running(triton=triton.grpc_url)
        for _ in range(stand.repetitions):
            stand.wait_inspecting(witness, units=2)
            began_s, began_unix_s = since()
            triton.unload("pcb_inspection")
            unloaded_unix_s = time.time()
            seen = partial(witness.not_inspected_after, began_unix_s)
            stand.detected("a unit not inspected", seen, began_s)
            let_pass(MISBEHAVING_S)
            stand.nobody_looks(unloaded_unix_s + 0.2, time.time() - DEADLINE_S)
            triton.load("pcb_inspection")
            stand.recovered(witness)
        stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def new_version_loaded(stand: Stand) -> None:
    """A new version is put beside the old one and loaded; events name the version that looked."""
    repository = stand.folder / "models"
    shutil.copytree(MODEL_REPOSITORY, repository)
    with ControlledTriton(repository, stand.folder / "triton.log") as triton:
        line, witness = stand.running(triton=triton.grpc_url)
        for version in range(2, 2 + stand.repetitions):
            began_unix_s = _publish_version(repository, version, triton)
            wait_for(
                partial(witness.names_version, version),
                within_s=30,
                what=f"units inspected by version {version}",
            )
            stand.recovered(witness)
            # A model's version that looked is the one named: none names the old one afterwards.
            old = [
                u
                for u in witness.units()
                if u.seen_unix_s > began_unix_s + DEADLINE_S
                and u.event["model"]["version"] not in {str(version), ""}
            ]
            if old:
                stand.tally.problems.append(f"{len(old)} units name a version that is gone")
        stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def _publish_version(repository: Path, version: int, triton: ControlledTriton) -> float:
    folder = repository / "pcb_inspection" / str(version)
    folder.mkdir()
    (folder / ".gitkeep").touch()
    triton.load("pcb_inspection")
    return time.time()
