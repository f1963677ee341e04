"""What the settings promise once they exist."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from inspector.core.errors import ConfigurationError
from inspector.settings.event_sections import JournalSettings
from inspector.settings.load import build_settings
from inspector.settings.settings import Settings
from inspector.settings.types import Size

STATION = {"site": "plant1", "line": "smt2", "name": "aoi"}
CANARIES = ("canary-0", "canary-1", "canary-2", "canary-3", "canary-4", "canary-5")


def settings(**sections: Any) -> Settings:
    content: dict[str, Any] = {
        "station": STATION,
        "cameras": {"top": {"source": "sim:", "size": "1280x720"}},
    }
    return build_settings(Settings, {**content, **sections})


def secretive() -> Settings:
    """With another secret in every place that takes one."""
    return settings(
        cameras={
            "top": {"source": f"rtsp://viewer:{CANARIES[0]}@192.0.2.1/x", "size": "1280x720"},
            "side": {"source": "sim:", "size": "64x64", "password": CANARIES[1]},
        },
        inference={"token": CANARIES[2]},
        redis={"url": f"redis://u:{CANARIES[3]}@192.0.2.1/0", "password": CANARIES[4]},
        http={"token": CANARIES[5]},
    )


def test_no_way_of_showing_the_settings_shows_a_secret():
    made = secretive()
    shown = [
        repr(made),
        str(made),
        repr(made.cameras["top"]),
        json.dumps(made.model_dump(mode="json")),
        made.model_dump_json(),
        json.dumps(Settings.model_json_schema()),
    ]
    assert not [c for c in CANARIES for text in shown if c in text]
    assert made.model_dump(mode="json")["http"]["token"] == "**********"
    assert made.model_dump(mode="json")["cameras"]["top"]["size"] == "1280x720"


def test_the_log_is_told_every_secret():
    assert secretive().secrets() == set(CANARIES)


def test_an_encoded_password_is_kept_out_of_the_log_in_both_forms():
    made = settings(redis={"url": "redis://:a%2Fb%40c@192.0.2.1"})
    assert made.secrets() == {"a%2Fb%40c", "a/b@c"}


def test_settings_do_not_change_after_start():
    made = settings()
    with pytest.raises(ValidationError):
        made.http.port = 1


def test_settings_made_directly_read_no_environment(monkeypatch):
    monkeypatch.setenv("INSPECTOR_HTTP__PORT", "1")
    assert settings().http.port == 8090


def test_user_and_certificates_of_redis_become_part_of_its_address_and_the_password_does_not():
    redis = settings(
        redis={
            "url": "rediss://192.0.2.1:6380/2",
            "username": "insp@line",
            "password": "canary-0",
            "tls_ca": "/etc/ssl/redis ca.pem",
        }
    ).redis
    assert redis.address() == (
        "rediss://insp%40line@192.0.2.1:6380/2?ssl_ca_certs=%2Fetc%2Fssl%2Fredis+ca.pem"
    )
    assert redis.secret() == "canary-0"


def test_passwords_among_the_options_of_the_url_are_secrets_too():
    url = "redis+sentinel://h/svc/0?sentinel_password=canary%2Done&password=canary-two&db=3"
    assert settings(redis={"url": url}).secrets() == {"canary-one", "canary-two"}


def test_a_user_in_the_url_is_the_one_that_counts():
    redis = settings(redis={"url": "redis://url@h/0?db=3", "username": "key"}).redis
    assert redis.address() == "redis://url@h/0?db=3"


@pytest.mark.parametrize("text", ["16x16", "16384x16384", "1280x720"])
def test_a_size_is_read_and_shown_alike(text):
    size = settings(cameras={"top": {"source": "sim:", "size": text}}).cameras["top"].size
    assert str(size) == text
    assert isinstance(size, Size)


@pytest.mark.parametrize("text", ["", "x", "1280x", "1280", "1280*720", "-1x720", "15x16", "1e3x9"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ConfigurationError, match=r"cameras\.top\.size"):
        settings(cameras={"top": {"source": "sim:", "size": text}})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_on_this_machine_alone_no_token_is_needed(host):
    assert settings(http={"host": host}).http.token is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "line-pc"])
def test_where_others_can_reach_it_a_token_is_needed(host):
    with pytest.raises(ConfigurationError, match=r"expected http\.token"):
        settings(http={"host": host})
    opened = settings(http={"host": host, "token": "secret"})
    assert opened.http.token == SecretStr("secret")


def test_options_of_a_simulated_line_are_checked_with_the_settings():
    with pytest.raises(ConfigurationError, match="has no option 'sped'; accepted are seed, view"):
        settings(cameras={"top": {"source": "sim:?sped=3", "size": "64x64"}})
    with pytest.raises(ConfigurationError, match=r"'fps' of a simulated line is '0'; it must be"):
        settings(cameras={"top": {"source": "sim:?fps=0", "size": "64x64"}})


def test_only_recordings_may_wait():
    waiting = {"source": "file:line.mp4", "size": "64x64", "when_full": "wait"}
    assert settings(cameras={"top": waiting}).cameras["top"].when_full == "wait"
    for live in ("rtsp://192.0.2.1/x", "v4l2:/dev/video0"):
        with pytest.raises(ConfigurationError, match='expected "drop_oldest"'):
            settings(cameras={"top": {**waiting, "source": live}})


def test_a_region_may_touch_the_edges_and_not_cross_them():
    def with_region(*region: int) -> Settings:
        camera = {"source": "sim:", "size": "64x48", "region": region}
        return settings(cameras={"top": camera})

    assert with_region(0, 0, 64, 48).cameras["top"].region == (0, 0, 64, 48)
    for wrong in [(0, 0, 65, 48), (1, 0, 64, 48), (-1, 0, 20, 20), (0, 0, 15, 20), (0, 40, 20, 16)]:
        with pytest.raises(ConfigurationError, match="expected x, y, width and height"):
            with_region(*wrong)


def test_the_journal_lies_where_systemd_says(monkeypatch):
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/inspector")
    assert str(JournalSettings().directory) == "/var/lib/inspector"
    monkeypatch.delenv("STATE_DIRECTORY")
    assert str(JournalSettings().directory) == "state"


def test_a_code_has_its_own_threshold_or_the_common_one():
    inspection = settings(inspection={"threshold": 0.4, "thresholds": {"short": 0.9}}).inspection
    assert inspection.threshold_of("short") == 0.9
    assert inspection.threshold_of("open") == 0.4
