"""A kind of camera from outside this package, exactly as docs/developing.md says."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from inspector.core.errors import ConfigurationError
from inspector.settings.load import build_settings
from inspector.settings.settings import Settings
from inspector.sources.opening import Opening
from inspector.sources.registry import named_source, parse_source
from tests.kit.fake_triton import FakeTriton, serving
from tests.kit.packages import install, recipe
from tests.kit.pipeline import line, settings_for

ROOT = Path(__file__).parents[2]
GROUP = "inspector.camera_sources"
pytestmark = pytest.mark.usefixtures("eager_captures")


@pytest.fixture
def _chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path,
        "chart_camera",
        group=GROUP,
        entry_points=recipe("pyproject.toml"),
        module=recipe("chart_camera.py"),
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "chart_camera", raising=False)


@pytest.mark.usefixtures("_chart")
def test_its_frames_go_through_the_whole_pipeline() -> None:
    async def main() -> list[str]:
        async with serving(FakeTriton()) as fake:
            camera = {"source": "chart:?frames=10", "when_full": "wait"}
            settings = settings_for(fake.url, {"a": camera})
            async with line(settings, {}) as run:
                await asyncio.wait_for(run.ended, 10)
            assert [unit["simulated"] for unit in run.units] == [True] * 10
            return run.results()

    assert asyncio.run(main(), debug=True) == ["FAILED", "PASSED"] * 5


@pytest.mark.usefixtures("_chart")
def test_its_settings_are_checked_with_the_others() -> None:
    camera = {"source": "chart:?frames=many", "size": "160x120"}
    content = {"station": {"site": "a", "line": "b", "name": "c"}, "cameras": {"top": camera}}
    with pytest.raises(ConfigurationError, match=r"cameras\.top\.source.*frames= and a number"):
        build_settings(Settings, content)
    with pytest.raises(ValueError, match="sim: or chart:"):
        parse_source("camera1")
    chart = named_source("chart:?frames=3", exists=False)
    assert str(chart) == "chart:?frames=3"
    assert chart.probe_size(Opening()) == (160, 120)


def test_inspector_check_opens_it(tmp_path: Path) -> None:
    """In a process of its own, as the service would find it."""
    install(
        tmp_path,
        "chart_camera",
        group=GROUP,
        entry_points=recipe("pyproject.toml"),
        module=recipe("chart_camera.py"),
    )
    config = tmp_path / "inspector.toml"
    config.write_text(
        '[station]\nsite = "a"\nline = "b"\nname = "c"\n'
        '[cameras.good]\nsource = "chart:"\nsize = "160x120"\n'
        f'[journal]\ndirectory = "{tmp_path}"\n'
        '[inference]\nurl = "127.0.0.1:9"\nconnect_timeout_s = 0.2\n'
        '[redis]\nurl = "redis://127.0.0.1:9"\n'
    )
    said = subprocess.run(
        [sys.executable, "-m", "inspector", "check", "--config", str(config), "--json"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "160x120, first frame after" in said.stdout, said.stdout + said.stderr


@pytest.mark.parametrize(
    ("module", "cause"),
    [
        (None, "cannot be imported"),
        ("raise RuntimeError('no driver')", "RuntimeError: no driver"),
        ("class ChartUri: pass", "is no SourceUri"),
    ],
)
def test_a_kind_that_cannot_be_used_is_refused_in_one_sentence(
    module: str | None, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(
        tmp_path,
        "broken_camera",
        group=GROUP,
        entry_points='broken = "broken_camera:ChartUri"\n',
        module=module,
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_camera", raising=False)
    with pytest.raises(ValueError, match=cause) as refusal:
        parse_source("broken:")
    assert "\n" not in str(refusal.value)
    assert "broken_camera:ChartUri" in str(refusal.value)
