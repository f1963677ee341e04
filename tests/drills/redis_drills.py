"""What may happen to Redis."""

from __future__ import annotations

import time

from tests.drills.stand import Stand, has_cause, redis_down, since
from tests.kit.line import Line, wait_for
from tests.kit.redis_sites import Sentinels, cut_replicas_off

AWAY_S = 30.0
FROZEN_S = 10.0
REFUSED_S = 6.0
STRANGER = "inspector:{test.one.aoi}:units"
TRIGGERS = "inspector:{test.one.aoi}:triggers"
FULL_BYTES = 20_000_000


def let_pass(seconds: float) -> None:
    """The fault lasts this long: that is the drill, not a wait for something."""
    end_s = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() >= end_s, within_s=seconds + 5, what="time passes")


def killed_for_30_s(stand: Stand) -> None:
    """SIGKILL, and back after half a minute."""
    line, witness = stand.running()
    began_s, _ = since()
    stand.redis.kill()
    stand.detected("redis_up 0", redis_down(line), began_s)
    let_pass(AWAY_S - (time.monotonic() - began_s))
    stand.redis.start()
    stand.recovered(witness)
    stand.close(line, witness)


def killed_at_random_moments(stand: Stand) -> None:
    """SIGKILL while it writes, and back at once."""
    line, witness = stand.running()
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=1)
        let_pass(stand.random.uniform(0.0, 0.5))
        began_s, _unix_s = since()
        stand.redis.kill()
        stand.detected("redis_up 0", redis_down(line), began_s)
        stand.redis.start()
        stand.recovered(witness)
    stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def frozen_for_10_s(stand: Stand) -> None:
    """SIGSTOP: it takes what is sent and answers nothing, until it goes on and does it all."""
    line, witness = stand.running()
    for _ in range(stand.repetitions):
        began_s, _unix_s = since()
        stand.redis.freeze()
        stand.detected("redis_up 0", redis_down(line), began_s)
        let_pass(FROZEN_S - (time.monotonic() - began_s))
        stand.redis.resume()
        stand.recovered(witness)
    stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def returns_empty(stand: Stand) -> None:
    """Its disk was lost."""
    line, witness = stand.running()
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=2)
        began_s, _unix_s = since()
        stand.redis.kill()
        stand.detected("redis_up 0", redis_down(line), began_s)
        stand.redis.empty()
        stand.redis.start()
        stand.recovered(witness)
    stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def returns_older(stand: Stand) -> None:
    """It comes back from a copy that lacks the last entries, as a replica that takes over may."""
    line, witness = stand.running()
    stand.redis.stop()
    copy = stand.folder / "copy"
    stand.redis.save_copy(copy)
    stand.redis.start()
    stand.wait_inspecting(witness, units=8)
    began_s, _unix_s = since()
    stand.redis.kill()
    stand.detected("redis_up 0", redis_down(line), began_s)
    stand.redis.restore_copy(copy)
    stand.redis.start()
    stand.recovered(witness)
    stand.close(line, witness)


def fails_over(stand: Stand) -> None:
    """Its master dies, and the replica that takes over never got the last entries."""
    sites = stand.stack.enter_context(Sentinels(stand.folder / "sites"))
    stand.use_redis(sites.master)
    line, witness = stand.running(redis_url=sites.url)
    cut_replicas_off(sites.master)
    stand.wait_inspecting(witness, units=5)
    began_s, _unix_s = since()
    sites.master.kill()
    stand.detected("redis_up 0", redis_down(line), began_s)
    sites.wait_promoted()
    witness.use(sites.replica.port)
    stand.recovered(witness)
    stand.close(line, witness)


def _refuses(stand: Stand, *settings: tuple[str, str, str]) -> None:
    """For each of (name, refusing, usual) in turn."""
    line, witness = stand.running()
    for name, refusing, usual in settings:
        stand.wait_inspecting(witness, units=2)
        began_s, _unix_s = since()
        with stand.redis.client() as client:
            client.config_set(name, refusing)
        stand.detected("redis_up 0", redis_down(line), began_s)
        let_pass(REFUSED_S)
        with stand.redis.client() as client:
            client.config_set(name, usual)
        stand.recovered(witness)
    stand.close(line, witness)
    stand.tally.repetitions = len(settings)


def out_of_memory(stand: Stand) -> None:
    """OOM: maxmemory is reached and nothing may be evicted."""
    _refuses(stand, ("maxmemory", "1", "0"))


def nearly_full(stand: Stand) -> None:
    """Somebody fills it to nine tenths; triggers still fit, and events wait until it is cleared."""
    line, witness = stand.running()
    key = "somebody-elses"
    for _ in range(stand.repetitions):
        stand.wait_inspecting(witness, units=3)
        began_s, _unix_s = since()
        with stand.redis.client() as client:
            client.setrange(key, FULL_BYTES, "x")
            used = client.info("memory")["used_memory"]
            client.config_set("maxmemory", round(used / 0.93))
            stand.detected("nearly full", has_cause(line, "nearly full"), began_s)
            for number in range(20):
                client.xadd(TRIGGERS, {"unit_id": f"T-{number}"})
            client.delete(key)
        stand.recovered(witness)
    with stand.redis.client() as client:
        client.config_set("maxmemory", 0)
    stand.close(line, witness)
    stand.tally.repetitions = stand.repetitions


def too_few_replicas(stand: Stand) -> None:
    """NOREPLICAS: it may not write without a replica that is not there."""
    _refuses(stand, ("min-replicas-to-write", "1", "0"))


def cannot_save(stand: Stand) -> None:
    """MISCONF: it cannot write its snapshot and stops taking writes."""
    line, witness = stand.running()
    obstacle = stand.redis.folder / "dump.rdb"
    obstacle.mkdir()
    began_s, _unix_s = since()
    with stand.redis.client() as client:
        client.config_set("save", "1 1")
        stand.detected("redis_up 0", redis_down(line), began_s)
        let_pass(REFUSED_S)
        obstacle.rmdir()
        client.config_set("save", "")
        client.config_set("stop-writes-on-bgsave-error", "no")
    stand.recovered(witness)
    stand.close(line, witness)


def read_only(stand: Stand) -> None:
    """READONLY: it was made a replica of something that does not answer, and a master again."""
    line, witness = stand.running()
    began_s, _unix_s = since()
    with stand.redis.client() as client:
        client.replicaof("127.0.0.1", "1")
    stand.detected("redis_up 0", redis_down(line), began_s)
    let_pass(REFUSED_S)
    with stand.redis.client() as client:
        client.replicaof("NO", "ONE")
    stand.recovered(witness)
    stand.close(line, witness)


def wrong_password_then_right(stand: Stand) -> None:
    """The password is changed under the service, and changed back."""
    line, witness = stand.running()
    began_s, _unix_s = since()
    with stand.redis.client() as client:
        client.config_set("requirepass", "other")
        client.client_kill_filter(skipme=True, _type="normal")
    stand.detected("redis_up 0", redis_down(line), began_s)
    let_pass(REFUSED_S)
    _as_default(stand, "other", "config", "set", "requirepass", "")
    stand.recovered(witness)
    stand.close(line, witness)


def missing_permission(stand: Stand) -> None:
    """The user may no longer write streams, for a while."""
    line, witness = stand.running()
    began_s, _unix_s = since()
    with stand.redis.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-xadd")
    stand.detected("redis_up 0", redis_down(line), began_s)
    let_pass(REFUSED_S)
    with stand.redis.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "+xadd")
    stand.recovered(witness)
    stand.close(line, witness)


def trimmed_by_somebody_else(stand: Stand) -> None:
    """Another program trims the stream to two entries; what is still to come arrives whole."""
    line, witness = stand.running()
    stand.wait_inspecting(witness, units=5)
    with stand.redis.client() as client:
        client.xtrim(STRANGER, maxlen=2, approximate=False)
        kept = int(client.xrange(STRANGER)[0][1]["seq"])
    stand.recovered(witness)
    stand.wait_inspecting(witness, units=5)
    _stop_and_audit_from(stand, line, witness, kept)


def _stop_and_audit_from(stand: Stand, line: Line, witness, kept: int) -> None:
    line.stop(within_s=20)
    stand.tally.add(witness.audit(verdicts=None, trimmed_below={"units": kept}))
    stand.tally.repetitions += 1


def _as_default(stand: Stand, password: str, *words: str) -> None:
    import redis  # noqa: PLC0415

    with redis.Redis(port=stand.redis.port, password=password) as client:
        client.execute_command(*words)
