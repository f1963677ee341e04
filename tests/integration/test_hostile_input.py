"""Oversized and malformed input by HTTP and by settings: refused, and the service goes on."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from inspector.core.errors import ConfigurationError
from inspector.settings.load import load_settings
from tests.integration.test_http import Client, Station, serving

OK_AFTERWARDS = 200


@pytest.fixture(scope="module")
def server() -> Iterator[Client]:
    with serving(Station()) as client:
        assert client.ask("/healthz").status == OK_AFTERWARDS
        yield client


@contextmanager
def connected(server: Client) -> Iterator[socket.socket]:
    address = (server._connection.host, server._connection.port)
    with socket.create_connection(address, timeout=10) as connection:
        yield connection


def answer_to(server: Client, sent: bytes) -> bytes:
    """What comes until the server closes, or has answered and waits for more."""
    with connected(server) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := connection.recv(65_536):
                answer += chunk
        except TimeoutError:
            raise
        except OSError:  # it stopped listening in the middle of a flood: fair enough
            return b""
    return answer


def request(path: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


TRAVERSALS = [
    "/../../../../etc/passwd", "/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2f..%2fetc/passwd",
    "//etc/passwd", "/metrics/../../etc/passwd", "/api/status/..%5c..%5cetc%5cpasswd",
    "/%00/etc/passwd", "/healthz%00.html", "/healthz;/../metrics", "/%c0%ae%c0%ae/etc/passwd",
    "http://127.0.0.1/etc/passwd", "/?file=../../etc/passwd", "*",
]  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSALS)
def test_no_path_leads_to_a_file(server: Client, path: str) -> None:
    answer = answer_to(server, request(path))
    assert b"root:" not in answer
    status = int(answer.split(b" ", 2)[1])
    assert status in (200, 400, 404)
    if status == 200:
        assert path.startswith("/?"), "the first page, which takes no parameters"


FLOODS = {
    "a path of a megabyte": request("/" + "a" * 1_000_000),
    "a header of a megabyte": request("/", "X: " + "a" * 1_000_000),
    "a hundred thousand headers": request("/", *["X: y"] * 100_000),
    "no line at all": b"a" * 1_000_000,
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(300),
    "lengths that contradict each other": request(
        "/metrics", "Content-Length: 5", "Content-Length: 6", method="POST", body=b"hello!"
    ),
    "a length below nothing": request("/metrics", "Content-Length: -1", method="POST"),
    "a chunk of no length": request(
        "/metrics", "Transfer-Encoding: chunked", method="POST", body=b"zz\r\nhello\r\n"
    ),
    "a version that is none": b"GET / HTTQ/1.1\r\n\r\n",
    "a header that is none": b"GET / HTTP/1.1\r\nHost: x\r\nnone\r\n\r\n",
    "a header of control characters": b"GET / HTTP/1.1\r\nHost: x\r\nA: \x00\x01\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("flood", FLOODS)
def test_what_is_no_request_is_refused_and_the_next_one_answered(
    server: Client, flood: str
) -> None:
    answer = answer_to(server, FLOODS[flood])
    assert answer == b"" or answer.split(b" ", 2)[1] in (b"400", b"405", b"413", b"431", b"505")
    with connected(server) as connection:
        connection.sendall(request("/healthz"))
        assert connection.recv(100).startswith(b"HTTP/1.1 200")


def test_connections_that_say_nothing_keep_nobody_out(server: Client) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            idle = stack.enter_context(connected(server))
            idle.sendall(b"GET /healthz HTT")
        assert answer_to(server, request("/healthz")).startswith(b"HTTP/1.1 200")


@examples(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=200)
    | st.builds(
        lambda method, path, name: f"{method} {path} HTTP/1.1\r\n{name}: x\r\n\r\n".encode(
            "utf-8", "surrogatepass"
        ),
        st.sampled_from(["GET", "POST", "HEAD", "G\tET"]),
        st.text(max_size=30),
        st.text(max_size=10),
    )
)
def test_whatever_is_sent_the_server_goes_on(server: Client, sent: bytes) -> None:
    answer = answer_to(server, sent)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")
    assert b" 500 " not in answer.split(b"\r\n", 1)[0]
    assert answer_to(server, request("/healthz")).startswith(b"HTTP/1.1 200")


# --- settings ---


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 5000,
        "a = " + "{x=" * 3000,
        "a" + ".a" * 5000 + " = 1",
        "a = " + "9" * 5000,
        "[redis]\nretention_days = " + "9" * 5000,
        "[station]\nsite = '" + "x" * 100_000 + "'",
        "a = 1\n" * 2,
        "[" * 3000,
        "\x00",
        "[cameras]\n" + "".join(f"[cameras.c{n}]\n" for n in range(300)),
    ],
    ids=range(10),
)
def test_settings_that_are_monstrous_are_refused_in_lines(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load_settings(file)
    for problem in refused.value.problems:
        assert "\n" not in problem
        assert len(problem) < 1000


keys = st.sampled_from(["redis", "http", "cameras", "station", "url", "token", "x", "size", "top"])
values = st.recursive(
    st.integers() | st.text(max_size=20) | st.booleans() | st.floats(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.dictionaries(keys, values, max_size=4))
def test_any_settings_are_read_or_refused_in_lines(tmp_path: Path, content: dict) -> None:  # type: ignore[type-arg]
    file = tmp_path / "empty.toml"
    file.write_text("")
    with pytest.raises(ConfigurationError) as refused:  # the sections it needs are never whole
        load_settings(file, content)
    assert refused.value.problems
    assert not [problem for problem in refused.value.problems if "\n" in problem]


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(max_size=100) | st.binary(max_size=60).map(lambda b: b.decode("latin-1")))
def test_any_file_is_read_or_refused_in_lines(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(ConfigurationError) as refused:
        load_settings(file)
    assert not [problem for problem in refused.value.problems if "\n" in problem]
