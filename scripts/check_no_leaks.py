"""Refuses what must not enter the repository, and names file and line of each finding.

Registry hosts and paths of somebody's machine leak from locks and logs; footage, data sets and
files of more than 20 MB make every clone slow; a conflict marker means an unfinished merge.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILE_BYTES = 20_000_000
FOOTAGE_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov")
DATASET_NAMES = ("deeppcb",)

# In pieces, so that this file passes its own check.
_REGISTRIES = "|".join(
    re.escape(".".join(pieces))
    for pieces in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("anaconda", "org"),
        ("jfrog", "io"),
    )
)
_AT_START = r"(?<![\w./-])"
PATTERNS = {
    "host of a package registry": rf"\b(?:{_REGISTRIES})\b",
    "address of a package index": r"https?://[^\s/]+/(?:\S*/)?simp[l]e/",
    "option that names a package index": r"^\s*--(?:extra-)?index-url\b",
    "path of somebody's machine": _AT_START + r"/(?:home/[a-z]\w*|root|wor[k])/[\w.]",
    "conflict marker": r"^(?:<{7}|>{7}|\|{7})(?: |$)",
}
_COMPILED = {what: re.compile(p.encode(), re.MULTILINE) for what, p in PATTERNS.items()}


def findings_in(path: str, content: bytes) -> Iterator[str]:
    """One line per finding, `file:line: what`; binary files are read the same way."""
    name = path.lower()
    if len(content) > MAX_FILE_BYTES:
        yield f"{path}:1: {len(content)} bytes, {MAX_FILE_BYTES} at most"
    if name.endswith(FOOTAGE_SUFFIXES):
        yield f"{path}:1: footage does not belong into the repository"
    if any(dataset in name for dataset in DATASET_NAMES):
        yield f"{path}:1: data sets do not belong into the repository"
    for what, pattern in _COMPILED.items():
        for match in pattern.finditer(content):
            line_number = content.count(b"\n", 0, match.start()) + 1
            yield f"{path}:{line_number}: {what}: {match.group().decode(errors='replace').strip()}"


def tracked_files() -> list[str]:
    """The files git tracks, also where the checkout belongs to another user, as in containers."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], check=True, capture_output=True
    )
    return [name.decode() for name in listed.stdout.split(b"\0") if name]


def main() -> int:
    """Exit code 1 and one line per finding, or 0."""
    findings = [
        finding
        for name in tracked_files()
        if (path := Path(name)).is_file()  # not: deleted and not yet committed, or a symbolic link
        for finding in findings_in(name, path.read_bytes())
    ]
    for finding in findings:
        print(finding, file=sys.stderr)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
