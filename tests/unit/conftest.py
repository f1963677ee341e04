"""What every unit test gets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def _no_log_settings_leak() -> Iterator[None]:
    """A test's log level must not become the next test's."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
