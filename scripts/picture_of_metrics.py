"""Writes docs/images/dashboard.png: the panels of the dashboard, from a real demo's metrics.

Needs prometheus on PATH and matplotlib, which is in no lock: pip install matplotlib

python scripts/picture_of_metrics.py [SECONDS]
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import matplotlib as mpl
from matplotlib import dates
from matplotlib import pyplot as plt

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
TARGET = ROOT / "docs" / "images" / "dashboard.png"
SHOWN = (
    "Units per minute",
    "Share that fails, 30 min",
    "Defects per unit, 1 h",
    "Trigger to verdict",
    "Stages, p95",
    "Frames per second",
    "Events published per second",
    "Serials, per minute",
    "Memory of the service",
)
STATION = "demo.one.aoi"
SCALES = {"percentunit": (100, "%"), "bytes": (1e-6, "MB"), "s": (1000, "ms")}


def free_port() -> int:
    """One that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_prometheus(folder: Path, port: int, inspector_port: int) -> subprocess.Popen[bytes]:
    """Asks the demo every second, with the rules as they are shipped."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(DEPLOY / "prometheus" / "recording.yml")],
        "scrape_configs": [
            {
                "job_name": "inspector",
                "static_configs": [
                    {
                        "targets": [f"127.0.0.1:{inspector_port}"],
                        "labels": {"station": STATION},
                    }
                ],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config))
    return subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def asked(port: int, expression: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
    """The lines of one query over the time of the demo."""
    concrete = expression.replace("$__rate_interval", "20s")
    concrete = concrete.replace("$station", ".*").replace("$camera", ".*")
    query = urlencode({"query": concrete, "start": start_s, "end": end_s, "step": 1})
    with urlopen(f"http://127.0.0.1:{port}/api/v1/query_range?{query}", timeout=30) as response:
        result: list[dict[str, Any]] = json.load(response)["data"]["result"]
    return result


def draw(port: int, start_s: float, end_s: float) -> None:
    """The panels named in SHOWN, in their order."""
    board = json.loads((DEPLOY / "grafana" / "dashboards" / "line.json").read_text())
    panels = {panel["title"]: panel for panel in board["panels"]}
    mpl.rcParams.update({"font.size": 8, "axes.grid": True, "grid.alpha": 0.3})
    figure, axes = plt.subplots(3, 3, figsize=(12, 7.5), layout="constrained")
    for title, axis in zip(SHOWN, axes.flat, strict=True):
        panel = panels[title]
        unit = panel["fieldConfig"]["defaults"].get("unit", "short")
        factor, sign = SCALES.get(unit, (1, ""))
        for target in panel["targets"]:
            for line in asked(port, target["expr"], start_s, end_s):
                label = target["legendFormat"]
                for name, value in line["metric"].items():
                    label = label.replace(f"{{{{{name}}}}}", value)
                points = [(float(t), float(v) * factor) for t, v in line["values"] if v != "NaN"]
                if points:
                    times, values = zip(*points, strict=True)
                    axis.plot(dates.num2date([t / 86_400 for t in times]), values, label=label)
        axis.set_title(f"{title} [{sign}]" if sign else title)
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_formatter(dates.DateFormatter("%H:%M:%S"))
        axis.xaxis.set_major_locator(dates.AutoDateLocator(maxticks=5))
        axis.legend(fontsize=6, loc="best")
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(TARGET, dpi=80)


def main() -> None:
    """Run the demo under Prometheus and draw it."""
    seconds = sys.argv[1] if len(sys.argv) > 1 else "120"
    inspector_port, port = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        prometheus = start_prometheus(Path(folder), port, inspector_port)
        started_s = time.time()
        try:
            demo = [sys.executable, "-m", "inspector", "demo", "--seconds", seconds]
            subprocess.run([*demo, "--port", str(inspector_port)], check=True)
            draw(port, started_s, time.time())
        finally:
            os.kill(prometheus.pid, signal.SIGTERM)
            prometheus.wait()


if __name__ == "__main__":
    main()
