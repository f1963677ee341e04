"""Triton's own load generator, as the ceiling: fetched once, run as it is.

The binary lies in an older wheel of tritonclient; two libraries that it needs lie in the wheel of
the embedded server.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from inspector.embedded.triton.environment import prepare_environment

VERSION = "2.50.0"
WHEEL_SHA256 = "421fbb69ae6ab8cdb2c35b82134fcef2fe11e7af7718b1fcbc53335ab9bfe889"
CACHE = Path(".cache/perf_analyzer")
_LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12.*"}
_OUTPUT_BYTES = 4096
_INTERVAL_MS = 3000
_THROUGHPUT = re.compile(r"Throughput: ([0-9.]+) infer/sec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """How it asks."""

    model: str
    streaming: bool
    shared_memory: bool
    concurrency: int
    batch: int = 1

    @property
    def arguments(self) -> list[str]:
        """For its command line."""
        said = ["-m", self.model, "-b", str(self.batch)]
        said += ["--concurrency-range", str(self.concurrency)]
        said += ["--streaming" if self.streaming else "--async"]
        if self.shared_memory:
            room = str(_OUTPUT_BYTES * self.batch)
            said += ["--shared-memory", "system", "--output-shared-memory-size", room]
        return said


async def fetch() -> Path:
    """The binary, downloaded on first use.

    Raises:
        OSError: it cannot be had.
        RuntimeError: the download failed; pip's last line.

    """
    binary = CACHE / "perf_analyzer"
    await asyncio.to_thread(_download, binary)
    environment = await prepare_environment()
    await asyncio.to_thread(_link_libraries, environment.backends.parent)
    return binary.resolve()


def _download(binary: Path) -> None:
    if binary.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = CACHE / "requirements.txt"
    wanted.write_text(f"tritonclient=={VERSION} --hash=sha256:{WHEEL_SHA256}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    pip += ["--platform", "manylinux1_x86_64", "--only-binary", ":all:"]
    done = subprocess.run(
        [*pip, "-r", str(wanted), "-d", str(CACHE)], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["pip failed"])[-1])
    part = binary.with_suffix(".part")
    with ZipFile(next(CACHE.glob("tritonclient-*.whl"))) as wheel:
        part.write_bytes(wheel.read(f"tritonclient-{VERSION}.data/data/bin/perf_analyzer"))
    part.chmod(0o755)
    part.rename(binary)


def _link_libraries(server: Path) -> None:
    libraries = next(server.rglob("nvidia_pytriton.libs"))
    for name, pattern in _LIBRARIES.items():
        link = CACHE / name
        link.unlink(missing_ok=True)
        link.symlink_to(next(libraries.glob(pattern)).resolve())


async def run(binary: Path, url: str, asking: Asking, seconds: float) -> float:
    """Run it once; frames/s.

    Raises:
        RuntimeError: it failed, or printed no throughput; carries its last line.

    """
    interval_ms = max(_INTERVAL_MS, round(seconds * 1000))
    command = [str(binary), "-u", url, "-i", "grpc", *asking.arguments]
    command += ["--measurement-interval", str(interval_ms), "-s", "50"]
    process = await asyncio.create_subprocess_exec(
        *command,
        env=os.environ | {"LD_LIBRARY_PATH": str(binary.parent)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said = (await process.communicate())[0].decode(errors="replace")
    throughput = _THROUGHPUT.findall(said)
    if process.returncode or not throughput:
        last = said.strip().splitlines()[-1:] or ["nothing"]
        raise RuntimeError(f"perf_analyzer ended with {process.returncode} and said: {last[0]}")
    return float(throughput[-1])
