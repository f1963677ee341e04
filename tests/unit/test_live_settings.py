from __future__ import annotations

from typing import Any

import pytest

from inspector.errors import ConfigurationError
from inspector.live_settings import LIVE, compare, is_live
from inspector.settings import Settings


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
    keys = {key.replace("*", "top") for key in LIVE}
    known = {f"{name}.{key}" for name in Settings.model_fields for key in _keys_of(name)}
    assert {key.replace("*", "top") for key in LIVE} <= known
    assert all(is_live(key) for key in keys)
    assert not is_live("cameras.top.source")
    assert not is_live("inspection.codes")


def _keys_of(section: str) -> list[str]:
    found = getattr(settings(), section)
    if section == "cameras":
        return [f"top.{key}" for key in type(found["top"]).model_fields]
    return list(type(found).model_fields)


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
