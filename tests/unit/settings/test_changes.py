from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inspector.core.errors import ConfigurationError
from inspector.settings.changes import RELOADABLE, compare, is_reloadable
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings
from inspector.sinks import registry
from inspector.sinks.kind import SinkKind


def settings(cameras: dict[str, Any] | None = None, **sections: Any) -> Settings:
    top = {
        "source": "rtsp://viewer:secret@127.0.0.1/one",
        "size": "1280x720",
        "region": [280, 0, 720, 720],
        "serial": {"pattern": "[A-Z]+"},
    }
    content: dict[str, Any] = {
        "station": {"site": "plant1", "line": "smt2", "name": "aoi"},
        "cameras": cameras or {"top": top},
        "journal": {"directory": "state"},
    }
    return Settings(**content | sections)


def test_every_live_key_is_a_setting_and_takes_effect() -> None:
    keys = {key.replace("*", "top") for key in RELOADABLE}
    known = {f"{name}.{key}" for name in Settings.model_fields for key in _keys_of(name)}
    assert {key.replace("*", "top") for key in RELOADABLE} <= known
    assert all(is_reloadable(key) for key in keys)
    assert not is_reloadable("cameras.top.source")
    assert not is_reloadable("inspection.codes")


def _keys_of(section: str) -> list[str]:
    found = getattr(settings(), section)
    if section == "cameras":
        return [f"top.{key}" for key in type(found["top"]).model_fields]
    return [] if section == "sinks" else list(type(found).model_fields)


def test_equal_settings_change_nothing_and_the_same_object_stays_in_force() -> None:
    running = settings()
    changes = compare(running, settings())
    assert (changes.applied, changes.needs_restart) == ((), ())
    assert changes.settings is running


def test_live_keys_are_applied_and_all_others_keep_their_value_by_name() -> None:
    running = settings(inspection={"threshold": 0.5}, log={"level": "info"})
    wanted = settings(
        cameras={
            "top": {
                "source": "rtsp://127.0.0.1/two",
                "size": "1280x720",
                "region": [280, 0, 720, 720],
                "serial": {"pattern": "[0-9]+"},
                "frozen_after_s": 9.0,
            }
        },
        inspection={"threshold": 0.7, "thresholds": {"open": 0.4}, "nms_iou": 0.3},
        redis={"url": "redis://127.0.0.1:1/0"},
        log={"level": "debug"},
    )
    changes = compare(running, wanted)
    assert changes.applied == (
        "cameras.top.frozen_after_s",
        "inspection.threshold",
        "inspection.thresholds",
        "log.level",
    )
    assert changes.needs_restart == (
        "cameras.top.serial",
        "cameras.top.source",
        "inspection.nms_iou",
        "redis.url",
    )
    now = changes.settings
    assert (now.inspection.threshold_of("open"), now.inspection.threshold_of("short")) == (0.4, 0.7)
    assert now.log.level == "debug"
    assert now.cameras["top"].frozen_after_s == 9.0
    assert now.cameras["top"].source == running.cameras["top"].source
    assert now.cameras["top"].serial == running.cameras["top"].serial
    assert now.inspection.nms_iou == running.inspection.nms_iou
    assert now.redis == running.redis
    again = compare(now, wanted)
    assert again.applied == ()
    assert again.needs_restart == changes.needs_restart


def test_a_camera_more_or_less_needs_a_restart() -> None:
    one = settings()
    two = settings(
        cameras={"top": {"source": "sim:", "size": "640x480"}} | dict(one.cameras.items())
    )
    both = settings(cameras=dict(one.cameras) | {"side": {"source": "sim:", "size": "640x480"}})
    assert compare(one, two).needs_restart == ()
    assert "cameras.side.source" in compare(one, both).needs_restart
    assert "cameras.side.trigger_wait_ms" in compare(one, both).needs_restart
    assert "cameras.side.source" in compare(both, one).needs_restart
    assert set(compare(both, one).settings.cameras) == {"top", "side"}


def test_a_live_value_that_contradicts_one_that_waits_is_refused_and_names_it() -> None:
    running = settings(inspection={"codes": ["open", "short"]})
    wanted = settings(inspection={"codes": ["open", "scratch"], "thresholds": {"scratch": 0.6}})
    with pytest.raises(ConfigurationError) as refused:
        compare(running, wanted)
    [problem] = refused.value.problems
    assert "with inspection.codes as before, until a restart" in problem
    assert "thresholds names 'scratch', expected one of: open, short" in problem


def test_no_secret_shows_in_what_is_told() -> None:
    other = settings().cameras["top"].model_copy(update={"source": "rtsp://u:other@127.0.0.1/x"})
    changes = compare(settings(), settings(cameras={"top": other}))
    assert "other" not in str(changes.needs_restart)


CODES = ("open", "short")


def one_of(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


cameras = st.fixed_dictionaries(
    {"source": one_of("sim:", "sim:?seed=2"), "size": one_of("640x480", "1280x720")},
    optional={
        "trigger": one_of("presence", "external"),
        "trigger_wait_ms": one_of(100.0, 1500.0, 2500.0),
        "frozen_after_s": one_of(0.0, 9.0),
        "dark_below": one_of(0, 40),
        "frames_per_unit": one_of(1, 4),
        "serial": one_of({"pattern": "[A-Z]+"}, {"formats": ["QRCode"]}),
        "region": one_of([0, 0, 600, 400]),
    },
)
contents = st.fixed_dictionaries(
    {"cameras": st.dictionaries(one_of("top", "side"), cameras, min_size=1)},
    optional={
        "inspection": st.fixed_dictionaries(
            {"codes": one_of(["open"], ["open", "short"])},
            optional={
                "threshold": one_of(0.3, 0.7),
                "thresholds": st.dictionaries(one_of(*CODES), one_of(0.1, 0.9), max_size=2),
                "min_frames_seen": one_of(0, 1, 3),
                "deadline_ms": one_of(1000.0, 3000.0),
            },
        ),
        "evidence": st.fixed_dictionaries(
            {}, optional={"jpeg_quality": one_of(50), "enabled": one_of(True, False)}
        ),
        "log": st.fixed_dictionaries({}, optional={"level": one_of("debug", "warning")}),
        "redis": one_of({"password": "hunter2"}, {"url": "redis://:hunter2@127.0.0.1/1"}),
    },
)


def valid(content: dict[str, Any]) -> Settings | None:
    try:
        return settings(**content)
    except ValidationError:
        return None


valid_settings = contents.map(valid).filter(lambda found: found is not None)


def value(found: Settings, key: str) -> Any:
    section, *rest = key.split(".")
    part = getattr(found, section)
    if section == "cameras":
        part = part.get(rest[0])
    return None if part is None else getattr(part, rest[-1])


ALL_KEYS = [
    f"{section}{camera}.{key}"
    for section in Settings.model_fields
    if section != "sinks"  # of kinds that other packages bring; see below
    for camera in ((".top", ".side") if section == "cameras" else ("",))
    for key in (
        CameraSettings if section == "cameras" else type(getattr(settings(), section))
    ).model_fields
]


class Box(SinkKind):
    size: int = 1


def test_a_sink_that_is_added_changed_or_removed_waits_for_a_restart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "KINDS", {"box": Box})
    none, small, large = (
        settings(**more)
        for more in (
            {},
            {"sinks": {"archive": {"kind": "box"}}},
            {"sinks": {"archive": {"kind": "box", "size": 2}}},
        )
    )
    assert large.sinks["archive"] == Box(kind="box", size=2)
    assert compare(small, large).needs_restart == ("sinks.archive.size",)
    added = ("sinks.archive.kind", "sinks.archive.size", "sinks.archive.streams")
    assert compare(none, small).needs_restart == compare(small, none).needs_restart == added
    quieter = settings(sinks={"archive": {"kind": "box"}}, log={"level": "error"})
    changes = compare(small, quieter)
    assert (changes.applied, changes.needs_restart) == (("log.level",), ())
    assert changes.settings.sinks == small.sinks


@given(running=valid_settings, wanted=valid_settings)
def test_what_is_told_to_be_in_force_is_and_nothing_else_moved(
    running: Settings, wanted: Settings
) -> None:
    try:
        changes = compare(running, wanted)
    except ConfigurationError:  # they contradict each other
        return
    for key in ALL_KEYS:
        before, after, now = (value(one, key) for one in (running, wanted, changes.settings))
        assert (key in changes.applied) + (key in changes.needs_restart) == (before != after)
        if key in changes.applied:
            assert is_reloadable(key)
            assert now == after
        else:
            assert now == before, "it waits for a restart"
    assert set(changes.settings.cameras) == set(running.cameras)
    again = compare(changes.settings, wanted)
    assert again.settings is changes.settings
    assert (again.applied, again.needs_restart) == ((), changes.needs_restart)
    assert changes.settings.secrets() == running.secrets()


@given(valid_settings)
def test_what_was_read_again_unchanged_changes_nothing(running: Settings) -> None:
    same = Settings(**{name: getattr(running, name) for name in Settings.model_fields})
    changes = compare(running, same)
    assert changes.settings is running
    assert (changes.applied, changes.needs_restart) == ((), ())
