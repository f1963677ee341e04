import platform
import re
import sys

import pytest

from inspector.core.errors import ConfigurationError
from inspector.core.paths import default_cache
from inspector.embedded.triton import environment as embedded_environment
from inspector.embedded.triton.environment import (
    REQUIREMENTS,
    check_platform,
    environment_key,
    find_libpython,
)


def test_the_cache_is_where_the_user_wants_it(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("INSPECTOR_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache() == tmp_path / ".cache/inspector"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "xdg/inspector"
    monkeypatch.setenv("INSPECTOR_CACHE", str(tmp_path / "own"))
    assert default_cache() == tmp_path / "own"


def test_other_requirements_or_another_python_need_another_environment(monkeypatch, tmp_path):
    keys = {environment_key()}
    changed = tmp_path / "requirements.txt"
    changed.write_text(REQUIREMENTS.read_text() + "# changed\n")
    with monkeypatch.context() as patched:
        patched.setattr(embedded_environment, "REQUIREMENTS", changed)
        keys.add(environment_key())
    with monkeypatch.context() as patched:
        patched.setattr(sys, "version", "3.12.0 another")
        keys.add(environment_key())
    assert len(keys) == 3
    assert environment_key() in keys


def test_every_requirement_is_pinned_hashed_and_without_an_address():
    lines = REQUIREMENTS.read_text().splitlines()
    pinned = [line for line in lines if re.match(r"[a-z-]+==[\d.]+ (;.+ )?\\$", line)]
    assert [line.partition("==")[0] for line in pinned] == [
        "numpy",
        "numpy",
        "nvidia-pytriton",
        "onnxruntime",
    ]
    assert sum("--hash=sha256:" in line for line in lines) >= 3
    assert "://" not in REQUIREMENTS.read_text()
    assert pinned[0].startswith("numpy==1.")
    assert "python_full_version < '3.13'" in pinned[0], "where it exists: with 2, no strings"
    assert "python_full_version >= '3.13'" in pinned[1]


def test_a_library_of_this_python_is_found():
    assert find_libpython().name == "libpython{}.{}.so.1.0".format(*sys.version_info)


def test_a_missing_library_names_the_package_that_brings_it(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 99, 0))
    with pytest.raises(ConfigurationError, match=r"apt-get install libpython3\.99"):
        find_libpython()


@pytest.mark.parametrize(
    ("module", "attribute", "value", "said"),
    [
        (sys, "platform", "darwin", "runs on Linux on x86_64, this is darwin"),
        (platform, "machine", lambda: "aarch64", "this is linux on aarch64"),
        (sys, "version_info", (3, 14, 0), "needs Python 3.11 or 3.12 or 3.13, this is"),
        (platform, "libc_ver", lambda: ("glibc", "2.31"), "glibc 2.35 or newer .* has glibc 2.31"),
        (platform, "libc_ver", lambda: ("", ""), "this machine has another C library"),
    ],
)
def test_a_machine_that_cannot_run_it_is_refused(monkeypatch, module, attribute, value, said):
    check_platform()
    monkeypatch.setattr(module, attribute, value)
    with pytest.raises(ConfigurationError, match=said):
        check_platform()
