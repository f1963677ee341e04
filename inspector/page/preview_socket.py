"""`/ws/live/{camera}`: the newest picture, verdict and state, one message per credit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from inspector.core.records import CameraId
from inspector.page.preview import PreviewFeed
from inspector.page.viewer import Viewer, packed

NO_SUCH_CAMERA, TOO_MANY = 4404, 1013


def preview_routes(
    feeds: Mapping[CameraId, PreviewFeed], status: Callable[[], Mapping[str, Any]]
) -> list[WebSocketRoute]:
    """A viewer sends any message when it is ready for the next: so many are under way to it, one.

    What it gets is always the newest: nothing waits in a queue for a viewer that stalls.
    """

    async def live(socket: WebSocket) -> None:
        feed = feeds.get(CameraId(socket.path_params["camera"]))
        await socket.accept()
        if feed is None or feed.is_full:
            code, why = (
                (NO_SUCH_CAMERA, "no such camera")
                if feed is None
                else (TOO_MANY, "too many viewers")
            )
            await socket.close(code, why)
            return
        viewer = feed.join()
        try:
            await socket.send_bytes(packed({"type": "status", "status": status()}))
            await _until_either(_credits(socket, viewer), _messages(socket, viewer, feed))
        except WebSocketDisconnect:
            pass
        finally:
            feed.leave(viewer)

    return [WebSocketRoute("/ws/live/{camera}", live)]


async def _credits(socket: WebSocket, viewer: Viewer) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        viewer.credit()


async def _messages(socket: WebSocket, viewer: Viewer, feed: PreviewFeed) -> None:
    while True:
        await socket.send_bytes(await viewer.next(feed.channels))


async def _until_either(*works: Any) -> None:
    """Until one of them ends; the others are cancelled and waited for."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()
