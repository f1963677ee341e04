"""A product that changes while the service and Redis are killed."""

from __future__ import annotations

from tests.drills.redis_drills import let_pass
from tests.drills.stand import Stand
from tests.drills.witness import Witness
from tests.kit.change_overs import Mes, audit_changes, doubtful_triton, write_products
from tests.kit.line import Line, measured, wait_for
from tests.kit.line_events import entries

CAMERAS = {
    "top": {"source": "sim:?fps=25", "size": "160x128"},
    "side": {"source": "sim:?fps=9&seed=5", "size": "160x128"},
}
COMMANDS_PER_ROUND = 20
PAUSE_S = 0.25
"""Between two commands, on average."""
ROUND_S = 60.0


def changed_at_random_moments(stand: Stand) -> None:
    """Twenty commands a round; in each the service and Redis are killed once, at any moment."""
    triton = stand.stack.enter_context(doubtful_triton())
    line = stand.line(
        cameras=CAMERAS,
        triton=triton,
        inspection={"codes": ["open", "short", "mousebite", "spur", "copper", "pin-hole"]},
        products={"unknown": "keep"},
        evidence={"enabled": False},
    )
    write_products(line.state / "products")
    line.start()
    witness = stand.stack.enter_context(Witness(stand.redis.port))
    stand.wait_inspecting(witness)
    undisturbed = _undisturbed(stand)
    for _ in range(stand.repetitions):
        _round(stand, line, witness)
        stand.tally.repetitions += 1
    _check(stand, line, witness, undisturbed)


def _undisturbed(stand: Stand) -> set[str]:
    """Commands that nothing is in the way of, to time them: their entries."""
    mes = Mes(stand.redis.port, commands=COMMANDS_PER_ROUND, rng=stand.random, pause_s=PAUSE_S)
    with mes:
        wait_for(lambda: mes.is_done, within_s=ROUND_S, what="commands are sent")
    with stand.redis.client() as client:
        return {sent.entry for sent in Mes.sent(client)}


def _round(stand: Stand, line: Line, witness: Witness) -> None:
    rng, mean_s = stand.random, COMMANDS_PER_ROUND * PAUSE_S
    mes = Mes(stand.redis.port, commands=COMMANDS_PER_ROUND, rng=rng, pause_s=PAUSE_S)
    with mes:
        let_pass(rng.random() * mean_s / 2)
        line.kill()
        line.start()
        let_pass(rng.random() * mean_s / 2)
        stand.redis.kill()
        let_pass(rng.random())
        stand.redis.start()
        wait_for(lambda: mes.is_done, within_s=ROUND_S, what="the round's commands are sent")
    stand.wait_inspecting(witness)


def _check(stand: Stand, line: Line, witness: Witness, undisturbed: set[str]) -> None:
    with stand.redis.client() as client:
        sent = Mes.sent(client)
        wait_for(
            lambda: (
                {s.entry for s in sent} <= {c.event["entry"] for c in entries(client, "changes")}
            ),
            within_s=ROUND_S,
            what="every command is answered",
        )
        line.stop(within_s=20)
        changes = [e.event for e in entries(client, "changes")]
        units = [e.event for e in entries(client, "units")]
    found = audit_changes(sent, changes, units, undisturbed=undisturbed)
    if not found.is_clean:
        stand.tally.problems.append(str(found))
    took_ms = sorted(found.took_ms)
    measured("commands, changes, units", (len(sent), found.changes, found.units))
    measured(
        "ms that the old product stayed after a command: median, largest, of how many",
        (took_ms[len(took_ms) // 2], took_ms[-1], len(took_ms)),
    )
    stand.tally.add(witness.audit(verdicts=None, blind=stand.blind))
