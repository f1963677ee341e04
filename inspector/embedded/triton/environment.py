"""Makes, once per machine and user, the folder that the embedded Triton runs from.

The genuine `tritonserver` binary comes inside the nvidia-pytriton wheel, of which only the files
are used. Its Python backend was compiled against numpy 1, so it gets a virtual environment of its
own; where numpy 1 has no build, backends/python/numpy_2_tensors.py makes numpy 2 do.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from inspector.core.errors import ConfigurationError, FatalError
from inspector.core.paths import default_cache
from inspector.core.web_proxy import environment_for_downloads

Report = Callable[[str], None]
"""Gets each step in a few words, for a progress display; called on the event loop."""

PACKAGE_FOLDER = Path(__file__).parent
REQUIREMENTS = PACKAGE_FOLDER / "requirements.txt"
BACKENDS = PACKAGE_FOLDER / "backends"

# The wheel holds stubs for 3.8 to 3.13.
SUPPORTED_PYTHONS = ((3, 11), (3, 12), (3, 13))
# The wheel is tagged manylinux_2_35.
OLDEST_GLIBC = (2, 35)
LOCK_POLL_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedEnvironment:
    """The files of an embedded Triton; all of them exist."""

    server: Path
    """The tritonserver binary."""
    python: Path
    """The interpreter of the server's own virtual environment."""
    backends: Path
    """What --backend-directory gets."""
    variables: Mapping[str, str]
    """Variables to add to the environment of the server process."""


async def prepare_environment(
    report: Report = lambda _text: None, *, cache: Path | None = None
) -> EmbeddedEnvironment:
    """Return the server's environment, made on first use (about 100 MB to download) and kept.

    Safe to call from several processes at once: one builds, the others wait. A build that was
    interrupted leaves nothing that is used later. Cancelling stops the installation.

    Args:
        report: progress, one short text per step.
        cache: where environments are kept; by default `$INSPECTOR_CACHE`, `inspector` in
            `$XDG_CACHE_HOME`, or `~/.cache/inspector`, whichever is set first.

    Raises:
        ConfigurationError: this machine cannot run the embedded server; says what to do.
        FatalError: the installation failed; the cause is pip's own last line.

    """
    check_platform()
    libpython = find_libpython()
    cache = default_cache() if cache is None else cache
    home = cache / f"triton-{environment_key()}"
    if not home.is_dir():
        try:
            await _build_once(home, report)
        except OSError as refused:
            raise FatalError(
                f"the embedded Triton cannot be installed in {cache}: {refused.strerror}; "
                "the environment variable INSPECTOR_CACHE names another folder"
            ) from refused
    return _described(home, libpython)


def environment_key() -> str:
    """Sixteen hex digits, which change whenever an existing environment is no longer valid."""
    digest = hashlib.sha256()
    digest.update(f"{sys.version}|{sys.base_prefix}|{platform.machine()}".encode())
    digest.update(REQUIREMENTS.read_bytes())
    for file in sorted(BACKENDS.glob("*/*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def check_platform() -> None:
    """Refuse, in one line, a machine on which the server binary cannot run."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise ConfigurationError(
            f"the embedded Triton runs on Linux on x86_64, this is {sys.platform} on "
            f"{platform.machine()}: set inference.url to a Triton elsewhere"
        )
    if sys.version_info[:2] not in SUPPORTED_PYTHONS:
        wanted = " or ".join(f"{major}.{minor}" for major, minor in SUPPORTED_PYTHONS)
        raise ConfigurationError(
            f"the embedded Triton needs Python {wanted}, this is {platform.python_version()}: "
            "install one of those, or set inference.url to a Triton elsewhere"
        )
    library, version = platform.libc_ver()
    if library != "glibc" or _numbers(version) < OLDEST_GLIBC:
        raise ConfigurationError(
            "the embedded Triton needs glibc {}.{} or newer (Debian 12, Ubuntu 22.04), ".format(
                *OLDEST_GLIBC
            )
            + f"this machine has {library or 'another C library'} {version}".rstrip()
        )


def find_libpython() -> Path:
    """Return the shared library of this very Python version, which Triton's stubs load.

    Raises:
        ConfigurationError: there is none; says which package brings it.

    """
    name = _library_name()
    library_folder = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    folders = [
        # First the installation this process runs from: its standard library fits exactly.
        library_folder,
        library_folder / (sysconfig.get_config_var("MULTIARCH") or ""),
        Path(sys.base_prefix) / "lib",
        *_folders_known_to_ldconfig(name),
    ]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    package = name.removesuffix(".so.1.0")
    raise ConfigurationError(
        f"the embedded Triton needs {name}, which is not on this machine: on Debian or Ubuntu "
        f"`apt-get install {package}`; with pyenv, build Python with --enable-shared"
    )


def _library_name() -> str:
    major, minor = sys.version_info[:2]
    return f"libpython{major}.{minor}.so.1.0"


def _folders_known_to_ldconfig(name: str) -> list[Path]:
    ldconfig = shutil.which("ldconfig", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
    if ldconfig is None:
        return []
    listing = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=False).stdout
    found = re.findall(rf"^\s*{re.escape(name)} .*x86-64.* => (\S+)$", listing, re.MULTILINE)
    return [Path(path).parent for path in found]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _described(home: Path, libpython: Path) -> EmbeddedEnvironment:
    venv = home / "venv"
    packages = _site_packages(venv)
    libraries = [libpython.parent, packages / "nvidia_pytriton.libs"]
    return EmbeddedEnvironment(
        server=packages / "pytriton/tritonserver/bin/tritonserver",
        python=venv / "bin/python3",
        backends=home / "backends",
        variables={
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
            # The interpreter inside the stubs takes its packages from the first python3 on PATH.
            "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "VIRTUAL_ENV": str(venv),
            "PYTHONNOUSERSITE": "1",
        },
    )


def _site_packages(venv: Path) -> Path:
    major, minor = sys.version_info[:2]
    return venv / f"lib/python{major}.{minor}/site-packages"


async def _build_once(home: Path, report: Report) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    async with _locked(home.with_suffix(".lock"), report):
        if await asyncio.to_thread(home.is_dir):
            return  # another process finished it while we waited
        for abandoned in home.parent.glob(f"{home.name}.*.part"):
            await asyncio.to_thread(shutil.rmtree, abandoned, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(dir=home.parent, prefix=f"{home.name}.", suffix=".part"))
        try:
            await _build(unfinished, report)
            await asyncio.to_thread(_take_place, unfinished, home)
        finally:
            await asyncio.to_thread(shutil.rmtree, unfinished, ignore_errors=True)
    report("embedded Triton: installed")


def _take_place(unfinished: Path, home: Path) -> None:
    """Make it, all or nothing: what a kill or a power cut leaves is never used."""
    os.sync()
    unfinished.rename(home)


@asynccontextmanager
async def _locked(path: Path, report: Report) -> AsyncIterator[None]:
    """Keep other processes out; the kernel releases the lock if this one is killed."""
    with path.open("w") as lock:
        if not _try_lock(lock):
            report("embedded Triton: waiting for another process that is installing it")
            while not _try_lock(lock):  # noqa: ASYNC110 - no event crosses processes
                await asyncio.sleep(LOCK_POLL_S)
        yield


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _build(home: Path, report: Report) -> None:
    venv = home / "venv"
    report("embedded Triton: making its Python environment")
    await _run("a Python environment could not be made", sys.executable, "-m", "venv", str(venv))
    report("embedded Triton: downloading and installing (about 100 MB, once)")
    pip = (str(venv / "bin/python3"), "-m", "pip", "--disable-pip-version-check", "install")
    # Hashes pin every byte; without --no-deps the wheel would bring its whole client library.
    flags = ("--quiet", "--no-input", "--require-hashes", "--no-deps", "--only-binary=:all:")
    await _run("its files could not be installed", *pip, *flags, "-r", str(REQUIREMENTS))
    report("embedded Triton: laying out its backends")
    await asyncio.to_thread(_lay_out_backends, home)


def _lay_out_backends(home: Path) -> None:
    triton = _site_packages(home / "venv") / "pytriton/tritonserver"
    python_backend = home / "backends/python"
    without_caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(BACKENDS, home / "backends", ignore=without_caches)
    # Copied: Triton refuses a linked libtriton_python.so as soon as another backend builds on it.
    shutil.copytree(
        triton / "backends/python", python_backend, ignore=without_caches, dirs_exist_ok=True
    )
    with (python_backend / "triton_python_backend_utils.py").open("a") as every_model_imports:
        every_model_imports.write("\nimport numpy_2_tensors  # laid beside it by inspector\n")
    # Linked: a copy would lose its $ORIGIN and not find the CUDA runtime. Relative, because the
    # whole folder is renamed when it is complete.
    stub = f"python_backend_stubs/{sys.version_info.major}.{sys.version_info.minor}"
    target = os.path.relpath(triton / stub / "triton_python_backend_stub", python_backend)
    (python_backend / "triton_python_backend_stub").symlink_to(target)


async def _run(failure: str, *command: str) -> None:
    """Run a program to its end; kills it when cancelled.

    Raises:
        FatalError: it failed; `failure` and its own last line say why.

    """
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment_for_downloads(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        await process.wait()
        raise
    if process.returncode != 0:
        lines = output.decode(errors="replace").strip().splitlines() or ["no message"]
        raise FatalError(f"the embedded Triton is not installed, {failure}: {_why(lines)}")


def _why(lines: list[str]) -> str:
    """The line of pip's output that names the cause: its last error, else its last line."""
    errors = [line for line in lines if line.startswith("ERROR:")]
    return (errors or lines)[-1].removeprefix("ERROR:").strip()
