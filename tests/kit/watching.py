"""Prometheus, Alertmanager and the one they call, as processes that a test starts."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.kit.line import wait_for

DEPLOY = Path(__file__).parents[2] / "deploy"
PROGRAMS = ("prometheus", "prometheus-alertmanager")
FASTER = 10
"""What alerts wait for is shortened by this; nothing else of the rules is changed."""


def missing() -> str | None:
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Webhook:
    """The phone at night: remembers every notification, by path."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        calls = self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                calls.append((self.path, json.loads(body)))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="webhook")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def alerts(self, path: str, status: str) -> list[dict[str, Any]]:
        """Every alert that was told there with this status."""
        return [
            alert
            for called, body in list(self.calls)
            if called == path
            for alert in body["alerts"]
            if alert["status"] == status
        ]


class Watching:
    """The shipped configuration on ports of its own, looking every second."""

    def __init__(
        self, folder: Path, jobs: Mapping[str, str], *, station: str, webhook: str
    ) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self.port, self._alert_port = free_port(), free_port()
        prometheus = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
        prometheus["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        for job in prometheus["scrape_configs"]:
            address = jobs[job["job_name"]]
            job["static_configs"] = [{"targets": [address], "labels": {"station": station}}]
        [manager] = prometheus["alerting"]["alertmanagers"]
        manager["static_configs"] = [{"targets": [f"127.0.0.1:{self._alert_port}"]}]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(prometheus))
        for name in prometheus["rule_files"]:
            text = (DEPLOY / "prometheus" / name).read_text()
            (folder / name).write_text(_hurried(text))
        manager_text = (DEPLOY / "alertmanager" / "alertmanager.yml").read_text()
        manager_text = manager_text.replace("http://127.0.0.1:9099", webhook)
        (folder / "alertmanager.yml").write_text(
            re.sub(r"group_interval: \w+", "group_interval: 1s", manager_text)
        )

    def __enter__(self) -> Self:
        try:
            self._start_all()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _start_all(self) -> None:
        folder = self._folder
        self._start(
            "prometheus-alertmanager",
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/alerts",
            f"--web.listen-address=127.0.0.1:{self._alert_port}",
            "--cluster.listen-address=",
        )
        self._start(
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{self.port}",
            # It does not know Alertmanager yet when the first alert stands.
            "--rules.alert.resend-delay=2s",
        )
        wait_for(lambda: self.ask("up"), within_s=30, what="Prometheus has scraped something")

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The samples that an expression has now; none while nobody answers."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{urlencode({'query': expression})}"
        try:
            with urlopen(url, timeout=10) as response:
                answer = json.load(response)
        except HTTPError as refused:
            with refused:
                starting = refused.code == HTTPStatus.SERVICE_UNAVAILABLE
            if not starting:
                raise
            return []
        except OSError:
            return []
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def _start(self, *command: str) -> None:
        log = self._stack.enter_context((self._folder / f"{command[0]}.log").open("wb"))
        process = subprocess.Popen(command, stdout=log, stderr=log)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)


def _hurried(rules: str) -> str:
    def shorter(found: re.Match[str]) -> str:
        seconds = int(found[2]) * {"s": 1, "m": 60}[found[3]] / FASTER
        return f"{found[1]}{round(seconds * 1000)}ms"

    faster = re.sub(r"(\n +for: )(\d+)([sm])\b", shorter, rules)
    return re.sub(r"\n +interval: 15s", "\n    interval: 1s", faster)
