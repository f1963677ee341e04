"""What every pipeline test gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Failures are foreseen here by the thousand; each with its traceback takes longer than it."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


@pytest.fixture
def eager_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice the end of a recording at once: for tests of other things."""
    monkeypatch.setattr("inspector.capture.worker.POLL_INTERVAL_S", 0.01)
