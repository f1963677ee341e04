"""What every test gets: nothing may be left behind, and CI skips nothing silently."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Generator, Iterator
from pathlib import Path

import hypothesis
import pytest

# How long an example takes, or to think of one, is the machine's affair, not the code's.
hypothesis.settings.register_profile(
    "inspector", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("inspector")

# The tests' own onnxruntime, the reference, keeps no telemetry either.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

SHARED = Path(__file__).parents[1].parent / "shared"
STARTED_S = time.monotonic()
REQUIRE_REAL_PARTS = os.environ.get("INSPECTOR_REQUIRE_REAL_PARTS") == "1"


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves a thread of ours or a shared memory segment of this process."""
    before = {t.ident for t in threading.enumerate()}
    yield
    give_up_s = time.monotonic() + 5
    while time.monotonic() < give_up_s and _left_threads(before):
        threading.Event().wait(0.02)
    assert not _left_threads(before), f"threads left: {_left_threads(before)}"
    segments = [p.name for p in Path("/dev/shm").glob(f"inspector-{os.getpid()}-*")]
    assert not segments, f"shared memory left: {segments}"


def _left_threads(before: set[int | None]) -> list[str]:
    ours = (
        *("archive", "capture/", "evidence", "journal", "preview"),
        *("serials", "sqlite", "host-monitor"),
    )
    return [
        t.name
        for t in threading.enumerate()
        if t.ident not in before and t.name.startswith(ours) and t.is_alive()
    ]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped real-part test is a failure: everything it needs was to be installed."""
    del call
    report = yield
    if REQUIRE_REAL_PARTS and report.skipped and not hasattr(report, "wasxfail"):
        allowed = item.get_closest_marker("may_skip") is not None
        if not allowed:
            report.outcome = "failed"
            report.longrepr = f"skipped although real parts are required: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def shared() -> Path:
    """The project's test data beside the checkout, where there is any."""
    if not SHARED.is_dir():
        pytest.skip("../shared (test data beside the checkout) is not there")
    return SHARED


@pytest.fixture(autouse=True)
def _no_policy_leak() -> Iterator[None]:
    """A test's event loop must not become the next test's."""
    yield
    asyncio.set_event_loop(None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how long it took and, of the tests that skipped, what they miss: reason by reason."""
    minutes, seconds = divmod(round(time.monotonic() - STARTED_S), 60)
    terminalreporter.write_line(f"took {minutes} min {seconds} s")
    reasons = Counter(_reason(report) for report in terminalreporter.stats.get("skipped", []))
    for reason, tests in reasons.most_common():
        terminalreporter.write_line(f"{tests} skipped: {reason}")
    if reasons:
        terminalreporter.write_line("as root on Debian or Ubuntu, .ci/run installs what they need")


def _reason(report: pytest.TestReport) -> str:
    told = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return told.removeprefix("Skipped: ").partition("\n")[0]
