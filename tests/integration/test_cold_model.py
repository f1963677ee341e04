"""A model whose first answer takes long, as an engine that is built at its first request."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.kit.inspector_command import inspector
from tests.kit.triton_server import embedded_triton_in_background


def test_a_recording_waits_for_the_first_answer_and_loses_nothing(
    shared: Path, tmp_path: Path
) -> None:
    case = shutil.copytree(shared / "cases" / "model" / "cold-model", tmp_path / "case")
    settings = (case / "settings.toml").read_text()
    with embedded_triton_in_background(case / "repository") as server:
        told = settings.replace('url = "embedded"', f'url = "{server.grpc_url}"')
        (case / "settings.toml").write_text(told)
        done = inspector("replay", "line", "-c", "settings.toml", "-o", "-", cwd=case)
    results = [
        line.partition('"result":"')[2].partition('"')[0] for line in done.stdout.splitlines()
    ]
    assert len(results) == 4
    assert "NOT_INSPECTED" not in results, done.stderr
    assert done.returncode == 0
