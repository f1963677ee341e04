"""What /proc says of processes."""

from __future__ import annotations

from pathlib import Path


def descendants(pid: int) -> dict[int, str]:
    """Every living process below this one, with its name."""
    parents: dict[int, tuple[int, str]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                stat = (folder / "stat").read_text()
            except OSError:
                continue
            name = stat[stat.index("(") + 1 : stat.rindex(")")]
            state, parent = stat[stat.rindex(")") + 2 :].split()[:2]
            if state != "Z":
                parents[int(folder.name)] = (int(parent), name)
    below: dict[int, str] = {}
    found = {pid}
    while found:
        found = {child for child, (parent, _) in parents.items() if parent in found}
        below |= {child: parents[child][1] for child in found}
    return below


def is_running(pid: int) -> bool:
    """It exists, and is more than an ended process that nobody has waited for yet."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2 :].split()[0] != "Z"


def arguments(pid: int) -> str:
    """Its command line, NUL after each; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def memory_bytes(pid: int, field: str = "VmRSS") -> int:
    """Of a process, from /proc."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise AssertionError(field)
