"""Who may look at the page, and what a browser is told to refuse."""

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from inspector.page.access import COOKIE, SESSION_S, Guard, Sessions, login_routes

TOKEN = "canary-token"


async def answer(app: Any, scope: dict[str, Any], body: bytes = b"") -> tuple[int, dict[str, str]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if scope["type"] == "websocket":
            return {"type": "websocket.connect"}
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if scope["type"] == "websocket":
        return sent[0]["code"], {}
    start = sent[0]
    return start["status"], {k.decode(): v.decode() for k, v in start["headers"]}


def ask(
    path: str, *, token: str | None = None, method: str = "GET", kind: str = "http",
    host: str = "127.0.0.1:8090", body: bytes = b"", **headers: str,
) -> tuple[int, dict[str, str]]:  # fmt: skip
    async def there(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("there")

    names = {"host": host, **{k.replace("_", "-"): v for k, v in headers.items()}}
    scope = {
        "type": kind, "method": method, "path": path, "query_string": b"", "scheme": "http",
        "headers": [(k.encode(), v.encode("latin-1")) for k, v in names.items()],
        "server": ("127.0.0.1", 8090), "root_path": "",
    }  # fmt: skip
    routes = [Route("/{any:path}", there, methods=["GET", "POST"])]
    if token is not None:
        routes = [*login_routes(token, lambda _: PlainTextResponse("form")), *routes]
    return asyncio.run(answer(Guard(Starlette(routes=routes), token), scope, body), debug=True)


def session(**headers: str) -> str:
    status, answered = ask("/login", token=TOKEN, method="POST", body=b"token=" + TOKEN.encode(),
                           **headers)  # fmt: skip
    assert (status, answered["location"]) == (303, "/")
    return answered["set-cookie"]


def test_a_session_is_proof_of_the_token_and_does_not_hold_it():
    cookie = session()
    value = cookie.partition("=")[2].partition(";")[0]
    assert TOKEN not in cookie
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert ask("/api/units", token=TOKEN, cookie=f"other=1; {COOKIE}={value}")[0] == 200
    assert ask("/api/units", token="another", cookie=f"{COOKIE}={value}")[0] == 401
    changed = value[:-1] + ("0" if value[-1] != "0" else "1")
    for wrong in ("", "x", changed, f"9{value}", "9999999999.", f"{value}.x", "\xe4.\xe4"):
        assert ask("/api/units", token=TOKEN, cookie=f"{COOKIE}={wrong}")[0] == 401


def test_a_session_ends_and_survives_a_restart():
    now_s = [1000.0]
    value = Sessions(TOKEN, now_s=lambda: now_s[0]).issue()
    restarted = Sessions(TOKEN, now_s=lambda: now_s[0])
    now_s[0] += SESSION_S - 1
    assert restarted.is_valid(value)
    now_s[0] += 2
    assert not restarted.is_valid(value)


def test_a_wrong_token_gets_no_session_and_stays_out_of_the_address():
    for body in (b"token=wrong", b"", b"token=" + b"x" * 10_000, b"token=%ff", b"x=canary-token"):
        status, headers = ask("/login", token=TOKEN, method="POST", body=body)
        assert (status, headers["location"]) == (303, "/login?wrong")
        assert "set-cookie" not in headers


def test_a_person_is_sent_to_the_form_and_a_program_is_refused():
    status, headers = ask("/", token=TOKEN, accept="text/html,*/*")
    assert (status, headers["location"]) == (303, "/login")
    status, headers = ask("/", token=TOKEN, accept="application/json")
    assert (status, headers["www-authenticate"]) == (401, "Bearer")
    assert ask("/", token=TOKEN, authorization=f"Bearer {TOKEN}")[0] == 200
    assert ask(f"/?token={TOKEN}", token=TOKEN)[0] == 401


def test_logging_out_forgets_the_session():
    status, headers = ask("/logout", token=TOKEN, method="POST")
    assert status == 303
    assert "Max-Age=0" in headers["set-cookie"]


def test_the_form_and_its_looks_need_no_token():
    for path in ("/login", "/static/style.css", "/healthz", "/readyz"):
        assert ask(path, token=TOKEN)[0] == 200


def test_a_websocket_needs_the_token_as_everything_does():
    assert ask("/ws/live/top", kind="websocket", token=TOKEN) == (1008, {})


def test_a_page_of_another_site_can_neither_change_anything_nor_watch():
    foreign = "https://evil.example"
    assert ask("/api/units/x/reviews", method="POST", origin=foreign)[0] == 403
    assert ask("/api/trigger", method="POST", origin="null")[0] == 403
    assert ask("/ws/live/top", kind="websocket", origin=foreign) == (1008, {})
    ours = "http://127.0.0.1:8090"
    assert ask("/api/units/x/reviews", method="POST", origin=ours)[0] == 200
    assert ask("/api/trigger", method="POST")[0] == 200  # a PLC has no origin


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8090", "127.0.0.1.evil.example", ""]
)
def test_a_foreign_name_that_leads_here_is_refused_where_no_token_protects(host):
    assert ask("/api/units", host=host)[0] == 403
    assert ask("/healthz", host=host)[0] == 200
    assert ask("/metrics", host=host)[0] == 200
    assert ask("/api/units", host=host, token=TOKEN, authorization=f"Bearer {TOKEN}")[0] == 200


@pytest.mark.parametrize("host", ["127.0.0.1:8090", "localhost:8090", "[::1]:8090", "localhost"])
def test_every_name_of_this_machine_will_do(host):
    assert ask("/api/units", host=host)[0] == 200


@pytest.mark.parametrize("path", ["/", "/api/units"])
def test_every_answer_tells_the_browser_what_to_refuse(path):
    for token in (None, TOKEN):
        _, headers = ask(path, token=token)
        policy = dict(
            part.strip().partition(" ")[::2]
            for part in headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
