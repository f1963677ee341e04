"""Builds everything that is written about the project as one searchable site, offline.

    python scripts/build_docs.py           .cache/site/
    python scripts/build_docs.py --serve   the same, then http://127.0.0.1:8000 until Ctrl-C
    python scripts/build_docs.py --check   the same as the first, silent unless something is wrong

The pages are the Markdown files that git knows, wherever they lie: their links to each other and to
files of the checkout work as they do in the repository. A link or an anchor that leads nowhere, and
a page that mkdocs.yml does not place, end with exit code 1 and a line that names page and link.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / ".cache" / "site-pages"
SITE = ROOT / ".cache" / "site"
HOST, PORT = "127.0.0.1", 8000
_LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Exit code 1 where the site is not whole."""
    tracked = _tracked()
    pages = [path for path in tracked if path.suffix == ".md"]
    shutil.rmtree(PAGES, ignore_errors=True)
    for path in pages:
        _copy(path)
    problems = [problem for page in pages for problem in _copy_linked(page)]
    problems += _build()
    for problem in problems:
        print(problem)
    if problems:
        return 1
    options = sys.argv[1:]
    if "--check" not in options:
        print(f"{len(pages)} pages: {(SITE / 'index.html').relative_to(ROOT)}")
    if "--serve" in options:
        _serve()
    return 0


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = (Path(name) for name in listed.stdout.split("\0") if name)
    return sorted(path for path in names if (ROOT / path).exists())


def _copy(path: Path) -> None:
    target = PAGES / path
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / path, target)


def _copy_linked(page: Path) -> list[str]:
    """Bring along what a page links to besides pages: pictures, configurations, sources."""
    problems = []
    for link in _LINK.findall(_FENCED.sub("", (ROOT / page).read_text(encoding="utf-8"))):
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (ROOT / page.parent / link).resolve()
        if not target.is_relative_to(ROOT) or not target.is_file():
            problems.append(f"{page}: {link} leads to no file of the checkout")
        elif target.suffix != ".md":
            _copy(target.relative_to(ROOT))
    return problems


def _build() -> list[str]:
    """Run mkdocs; what it complains of, nothing where the site is whole.

    Not with its option --quiet: that also hides warnings from its own strict mode.
    """
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        # Without it the theme prints an advertisement for its successor into every build.
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
    )
    if built.returncode == 0:
        return []
    told = (built.stdout + built.stderr).splitlines()
    return [line for line in told if not line.startswith("INFO")] or ["mkdocs failed"]


def _serve() -> None:
    """The search runs in a worker, which browsers start from a server but not from a folder."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(SITE))
    with ThreadingHTTPServer((HOST, PORT), handler) as server, suppress(KeyboardInterrupt):
        print(f"look at it: http://{HOST}:{PORT} (Ctrl-C ends)")
        server.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
