"""Every drill, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.drills import (
    camera_drills,
    challenge_drills,
    change_over_drills,
    machine_drills,
    redis_drills,
    service_drills,
    trigger_drills,
    triton_drills,
)
from tests.drills.stand import Stand, Tally


@dataclass(frozen=True, slots=True)
class Drill:
    """One way to break something."""

    name: str
    run: Callable[[Stand], None]
    repetitions: int = 1
    fast_repetitions: int = 0
    """In `make test`; 0: only in `make drills`."""
    detect_within_s: float | None = None
    recover_within_s: float | None = None

    def judge(self, tally: Tally) -> None:
        """Note what took longer than promised."""
        for took_s, within_s, what in (
            (tally.detect_s, self.detect_within_s, "noticed"),
            (tally.recover_s, self.recover_within_s, "back"),
        ):
            if within_s is not None and took_s and max(took_s) > within_s:
                tally.problems.append(f"{what} after {max(took_s):.1f} s, promised {within_s:g} s")


CAMERA_NOTICED_WITHIN_S = 3.0
BACK_WITHIN_S = 5.0

DRILLS = (
    Drill("Redis: SIGKILL, back after 30 s", redis_drills.killed_for_30_s, recover_within_s=5),
    Drill(
        "Redis: SIGKILL at random moments",
        redis_drills.killed_at_random_moments,
        10,
        recover_within_s=5,
    ),
    Drill("Redis: SIGSTOP for 10 s", redis_drills.frozen_for_10_s, 3, 1, recover_within_s=5),
    Drill("Redis: returns empty", redis_drills.returns_empty, 5, recover_within_s=5),
    Drill("Redis: returns older", redis_drills.returns_older, recover_within_s=5),
    Drill("Redis: fails over, last entries missed", redis_drills.fails_over, recover_within_s=5),
    Drill("Redis: refuses writes, OOM", redis_drills.out_of_memory, recover_within_s=5),
    Drill("Redis: nearly full", redis_drills.nearly_full, 2, 1),
    Drill("Redis: refuses writes, NOREPLICAS", redis_drills.too_few_replicas, recover_within_s=5),
    Drill("Redis: refuses writes, MISCONF", redis_drills.cannot_save, recover_within_s=5),
    Drill("Redis: refuses writes, READONLY", redis_drills.read_only, recover_within_s=5),
    Drill(
        "Redis: wrong password for a while",
        redis_drills.wrong_password_then_right,
        recover_within_s=5,
    ),
    Drill(
        "Redis: permission missing for a while",
        redis_drills.missing_permission,
        recover_within_s=5,
    ),
    Drill("Redis: trimmed by somebody else", redis_drills.trimmed_by_somebody_else),
    Drill(
        "triggers: the stream begins again",
        trigger_drills.stream_begins_again,
        3,
        1,
        recover_within_s=5,
    ),
    Drill("triggers: rights taken away", trigger_drills.rights_taken, 1, 1, recover_within_s=5),
    Drill(
        "product: 20 changes, service and Redis killed",
        change_over_drills.changed_at_random_moments,
        10,
        1,
    ),
    Drill(
        "known parts: shown wrongly, kills and power cuts",
        challenge_drills.shown_wrongly_through_kills_and_power_cuts,
        10,
    ),
    Drill("Triton: SIGKILL", triton_drills.killed, 5, recover_within_s=5),
    Drill("Triton: a model's process SIGKILL", triton_drills.model_killed, 3, recover_within_s=5),
    Drill("Triton: SIGSTOP for 8 s", triton_drills.frozen, 3, recover_within_s=5),
    Drill("Triton: ten times slower", triton_drills.ten_times_slower),
    Drill("Triton: six kinds of bad reply", triton_drills.bad_replies, fast_repetitions=1),
    Drill(
        "Triton: model unloaded and loaded again",
        triton_drills.unloaded_and_loaded,
        3,
        recover_within_s=5,
    ),
    Drill("Triton: new version loaded", triton_drills.new_version_loaded, 2),
    Drill("camera: SIGKILL", camera_drills.killed, 3, 1, CAMERA_NOTICED_WITHIN_S, BACK_WITHIN_S),
    Drill(
        "camera: SIGSTOP",
        camera_drills.frozen_process,
        3,
        0,
        CAMERA_NOTICED_WITHIN_S,
        BACK_WITHIN_S,
    ),
    Drill("camera: absent at start", camera_drills.absent_at_start, recover_within_s=5),
    Drill("camera: wrong password", camera_drills.wrong_password, recover_within_s=5),
    Drill("camera: another size in mid-stream", camera_drills.other_size, recover_within_s=5),
    Drill("camera: another codec", camera_drills.other_codec, recover_within_s=5),
    Drill("camera: corrupted packets", camera_drills.corrupted_packets, 3, recover_within_s=5),
    Drill("camera: pictures left out", camera_drills.pictures_left_out, 3, 2, None, BACK_WITHIN_S),
    Drill(
        "camera: pictures left out behind a proxy",
        camera_drills.pictures_left_out_unseen,
        3,
        1,
        None,
        BACK_WITHIN_S,
    ),
    Drill("camera: its clock is wrong", camera_drills.clock_is_wrong, 1, 1),
    Drill("camera: packets left out", camera_drills.packets_left_out, 3, 1, None, BACK_WITHIN_S),
    Drill("camera: black", camera_drills.black, 2, 1, None, BACK_WITHIN_S),
    Drill("camera: the same picture", camera_drills.frozen_picture, 2, recover_within_s=5),
    Drill("camera: five times the rate", camera_drills.five_times_the_rate),
    Drill("service: SIGKILL at random moments", service_drills.killed_at_random_moments, 50, 3),
    Drill("service: SIGTERM under load", service_drills.terminated_under_load, 5),
    Drill("service: a stage hangs", service_drills.stage_hangs, 3),
    Drill("service: event loop blocked", service_drills.event_loop_blocked, 3),
    Drill("service: no memory", service_drills.memory_limit, 3),
    Drill("service: no file descriptors", service_drills.no_descriptors, 2),
    Drill("service: 1,100 idle connections", service_drills.idle_connections, 2, 1),
    Drill("service: nobody reads the log", service_drills.log_nobody_reads, 1, 1),
    Drill("service: the log is full", service_drills.log_that_is_full, 1, 1, recover_within_s=5),
    Drill("service: shared memory left behind", service_drills.leftover_memory, 3, 1),
    Drill("service: a second instance", service_drills.second_instance, 1, 1),
    Drill("machine: power cut at random moments", machine_drills.power_cut, 20),
    Drill("machine: disk full", machine_drills.disk_full, 2),
    Drill("machine: state folder read-only", machine_drills.state_read_only, 1),
    Drill("machine: corrupt journal", machine_drills.corrupt_journal, 3),
    Drill("machine: journal removed", machine_drills.journal_removed, 3, 1),
    Drill("machine: clock steps by an hour", machine_drills.clock_steps, 1),
    Drill("machine: clock months off", machine_drills.clock_months_off, 2, 1),
    Drill("machine: /dev/shm full", machine_drills.shared_memory_full, 1),
)
