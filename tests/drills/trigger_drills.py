"""What may happen to the stream of triggers."""

from __future__ import annotations

import json
from collections import Counter

import redis

from tests.drills.redis_drills import let_pass
from tests.drills.stand import Stand, has_fault, redis_down, since
from tests.drills.witness import Witness
from tests.kit.line import Line, wait_for

KEY = "inspector:{test.one.aoi}:triggers"
USER, PASSWORD = "station", "pw-of-the-drill"
CAMERAS = {
    "top": {"source": "sim:?view=strobe&takt_s=0.5", "size": "320x240"},
    "nest": {"source": "sim:?fps=10", "size": "320x240", "trigger": "external"},
}
AHEAD_MS = 600_000
ANSWERED_WITHIN_S = 20.0
TAKEN_S = 3.0


def stream_begins_again(stand: Stand) -> None:
    """Redis's clock was ahead; its disk is lost, and the new one's clock is right."""
    line, witness = stand.running(cameras=CAMERAS)
    line.wait_ready()
    for round_ in range(stand.repetitions):
        with stand.redis.client() as client:
            at_ms = int(client.time()[0]) * 1000 + AHEAD_MS
            for number in range(3):
                client.xadd(KEY, {"unit_id": f"ahead-{round_}-{number}"}, id=f"{at_ms}-{number}")
        _answered(stand, witness, [f"ahead-{round_}-{n}" for n in range(3)])
        began_s, _unix_s = since()
        stand.redis.kill()
        stand.detected("redis_up 0", redis_down(line), began_s)
        stand.redis.empty()
        stand.redis.start()
        with stand.redis.client() as client:
            for number in range(3):
                client.xadd(KEY, {"unit_id": f"right-{round_}-{number}"})
        _answered(stand, witness, [f"right-{round_}-{n}" for n in range(3)])
        stand.recovered(witness)
    begun = line.scrape().total("inspector_trigger_stream_restarts_total")
    if begun != stand.repetitions:
        stand.tally.problems.append(f"the stream began again {begun:g} times by its metric")
    _told(stand, "stream")
    stand.close(line, witness)


def rights_taken(stand: Stand) -> None:
    """An administrator changes the station's user: it may not read its triggers any more."""
    with stand.redis.client() as admin:
        admin.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all")
    url = stand.redis.url.replace("//", f"//{USER}:{PASSWORD}@")
    line, witness = stand.running(cameras=CAMERAS, redis_url=url)
    line.wait_ready()
    for right in ("xread", "time"):
        with stand.redis.client() as admin:
            admin.execute_command("ACL", "SETUSER", USER, f"-{right}")
            began_s, _unix_s = since()
            admin.xadd(KEY, {"unit_id": f"without-{right}"})
            stand.detected("fault triggers", has_fault(line, "triggers"), began_s)
            _is_not_ready(stand, line, right)
            let_pass(TAKEN_S)
            admin.execute_command("ACL", "SETUSER", USER, f"+{right}")
        line.wait_ready()
        _answered(stand, witness, [f"without-{right}"])
        stand.recovered(witness)
    _told(stand, "")
    stand.close(line, witness)


def _is_not_ready(stand: Stand, line: Line, right: str) -> None:
    status, text = line.get("/readyz")
    if status != 503 or right not in text.lower() or "triggers" not in text:
        stand.tally.problems.append(f"without {right} /readyz says {status}: {text}")
    if line.scrape().total("inspector_ready") != 0:
        stand.tally.problems.append(f"without {right} inspector_ready is not 0")


def _answered(stand: Stand, witness: Witness, units: list[str]) -> None:
    """Until each of them has its verdict, and only one."""

    def verdicts() -> Counter[str]:
        return Counter(unit.event["unit"]["id"] for unit in witness.units())

    wait_for(
        lambda: set(units) <= set(verdicts()),
        within_s=ANSWERED_WITHIN_S,
        what=f"verdicts on {', '.join(units)}",
    )
    twice = [unit for unit, times in verdicts().items() if times > 1]
    stand.tally.problems += [f"{unit} was answered twice" for unit in twice]


def _told(stand: Stand, subject: str) -> None:
    """The health stream has the fault, raised and cleared."""

    def states() -> set[str]:
        with redis.Redis(port=stand.redis.port, decode_responses=True) as client:
            entries = client.xrange("inspector:{test.one.aoi}:health")
        events = [json.loads(fields["data"]) for _, fields in entries]
        mine = [e for e in events if e["fault"] == "triggers" and e["subject"] == subject]
        return {e["state"] for e in mine}

    wait_for(
        lambda: states() == {"raised", "cleared"},
        within_s=ANSWERED_WITHIN_S,
        what=f"the fault triggers {subject} raised and cleared",
    )
