"""The page's files, read once and kept in memory: a request never touches the disk."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    squeezed: bytes
    etag: str
    media_type: str


class StaticFiles:
    """Serves the files that are in the folder at start, by exact name, and nothing else."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): _read(path)
            for path in sorted(folder.rglob("*"))
            if path.suffix in _TYPES and path.is_file()
        }

    def routes(self) -> list[Route]:
        """`/` and `/static/…`."""

        async def index(request: Request) -> Response:
            return self.answer(request, "index.html")

        async def file(request: Request) -> Response:
            return self.answer(request, request.path_params["name"])

        return [Route("/", index), Route("/static/{name:path}", file)]

    def answer(self, request: Request, name: str) -> Response:
        """The file of this name, compressed if the browser accepts that, or 404."""
        file = self._files.get(name)
        if file is None:
            return PlainTextResponse("there is no such file\n", 404)
        # A browser asks each time and mostly gets "not modified": after an update of the service no
        # panel shows a mixture of old and new.
        headers = {"ETag": file.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(file.squeezed, media_type=file.media_type, headers=headers)
        return Response(file.content, media_type=file.media_type, headers=headers)


def _read(path: Path) -> _File:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:32]
    return _File(
        content=content,
        squeezed=gzip.compress(content, mtime=0),
        etag=f'"{digest}"',
        media_type=_TYPES[path.suffix],
    )
