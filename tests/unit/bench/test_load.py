from __future__ import annotations

import pytest
from pydantic import SecretStr

from inspector.bench.load import Load, Server, belt_settings, settings_for
from inspector.settings.sections import InferenceSettings

SERVER = Server(url="127.0.0.1:9", model="m", max_regions=3)


def test_frames_are_dropped_only_where_there_is_a_rate() -> None:
    assert settings_for(SERVER, Load(frames=1)).cameras["c0"].when_full == "wait"
    paced = settings_for(SERVER, Load(frames=1, cameras=2, rate_hz=3.0, tiles=True))
    assert [c.when_full for c in paced.cameras.values()] == ["drop_oldest"] * 2
    assert paced.cameras["c1"].crop == "tiles"
    assert paced.batching.max_regions == 3


def test_a_board_passes_every_two_and_a_half_seconds() -> None:
    source = str(belt_settings(SERVER, 2).cameras["c1"].source)
    options = dict(part.split("=") for part in source.partition("?")[2].split("&"))
    pitch_px = 620 + int(options["gap"])
    assert pitch_px / (float(options["speed"]) * float(options["fps"])) == pytest.approx(2.5)


def test_what_reaches_the_server_stays_secret_and_is_handed_on() -> None:
    inference = InferenceSettings(url="other:1", token=SecretStr("geheim"), tls=True)
    server = Server(url="127.0.0.1:9", model="m", inference=inference)
    settings = settings_for(server, Load(frames=1))
    assert settings.inference.url == "127.0.0.1:9"
    assert settings.inference.tls
    assert settings.inference.token is not None
    assert "geheim" not in repr(server)
