"""A virtual machine with a stock Debian kernel, whose disk is this machine's own.

Packages: qemu-system-x86, busybox-static, kmod, cpio, v4l-utils; the kernel is downloaded by
apt-get (70 MB) and kept, with its initial file system (about 12 MB), in the checkout's .cache.
"""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CACHE = ROOT / ".cache" / "v4l2_qemu"
PROGRAMS = (
    *("qemu-system-x86_64", "busybox", "modprobe", "depmod", "cpio", "v4l2-ctl"),
    *("apt-get", "apt-cache", "dpkg"),
)
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "vivid")


def missing() -> str | None:
    """Why this machine cannot run the guest, for a skip; None where it can."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


def prepare() -> tuple[Path, Path]:
    """Kernel and initial file system, downloaded and built the first time."""
    package = _kernel_package()
    kernel, initrd = CACHE / f"{package}.vmlinuz", CACHE / f"{package}.initrd.gz"
    if not (kernel.exists() and initrd.exists()):
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            unpacked = _download(package, Path(scratch))
            version = package.removeprefix("linux-image-")
            built = Path(scratch) / "initrd.gz"
            built.write_bytes(gzip.compress(_archive(unpacked, version, Path(scratch)), 6))
            shutil.move(unpacked / "boot" / f"vmlinuz-{version}", kernel)
            shutil.move(built, initrd)
    return kernel, initrd


def run(command: str, exchange: Path, *, timeout_s: float) -> str:
    """Run a shell command in the guest, with `exchange` as its /mnt; returns what it printed."""
    kernel, initrd = prepare()
    (exchange / "command.sh").write_text(
        f"export HOME=/tmp PATH=/usr/sbin:/usr/bin:/sbin:/bin\n{command}\n"
    )
    machine = [
        *("qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"),
        *("-smp", "2", "-m", "2048", "-nographic", "-nodefaults", "-serial", "stdio"),
        *("-no-reboot", "-nic", "none", "-kernel", str(kernel), "-initrd", str(initrd)),
        *("-append", "console=ttyS0 quiet panic=-1 mitigations=off"),
        *("-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"),
        *("-virtfs", f"local,path={exchange},mount_tag=exchange,security_model=none"),
    ]
    ran = subprocess.run(
        machine,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
    )
    log, status = exchange / "log.txt", exchange / "status.txt"
    printed = log.read_text(errors="replace") if log.exists() else ""
    if not status.exists() or status.read_text().strip() != "0":
        message = (
            f"the guest failed:\n{printed}\nconsole:\n{ran.stdout[-3000:]}{ran.stderr[-1000:]}"
        )
        raise RuntimeError(message)
    return printed


def _kernel_package() -> str:
    """The kernel that Debian's meta package stands for today."""
    depends = subprocess.run(
        ["apt-cache", "depends", "linux-image-amd64"], check=True, capture_output=True, text=True
    ).stdout
    found = re.search(r"linux-image-\d\S*-amd64", depends)
    if found is None:
        message = "apt knows no linux-image-amd64; run apt-get update"
        raise RuntimeError(message)
    return found.group()


def _download(package: str, scratch: Path) -> Path:
    subprocess.run(["apt-get", "download", "-q", package], cwd=scratch, check=True, timeout=300)
    archive = next(scratch.glob("*.deb"))
    subprocess.run(["dpkg", "-x", archive.name, "unpacked"], cwd=scratch, check=True, timeout=300)
    archive.unlink()
    return scratch / "unpacked"


def _archive(unpacked: Path, version: str, scratch: Path) -> bytes:
    """The initial file system: busybox, the modules needed and what `depmod` knows of them."""
    tree = scratch / "tree"
    (tree / "bin").mkdir(parents=True)
    shutil.copy2(shutil.which("busybox") or "busybox", tree / "bin" / "busybox")
    shutil.copy2(HERE / "init", tree / "init")
    (tree / "init").chmod(0o755)
    subprocess.run(["depmod", "-b", str(unpacked), version], check=True)
    for module in MODULES:
        needed = subprocess.run(
            ["modprobe", "-d", str(unpacked), "-S", version, "--show-depends", module],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for path in map(Path, re.findall(r"^insmod (\S+)", needed, re.MULTILINE)):
            copy = tree / path.relative_to(unpacked)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, copy)
    libraries = tree / "lib" / "modules" / version
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy2(unpacked / "lib" / "modules" / version / name, libraries / name)
    subprocess.run(["depmod", "-b", str(tree), version], check=True)
    names = "\n".join(str(p.relative_to(tree)) for p in sorted(tree.rglob("*")))
    return subprocess.run(
        ["cpio", "--quiet", "-o", "-H", "newc"],
        cwd=tree,
        input=names.encode(),
        check=True,
        capture_output=True,
    ).stdout
