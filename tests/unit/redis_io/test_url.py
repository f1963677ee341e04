"""Which Redis a URL means; and that no URL, however wrong, shows its password."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.errors import ConfigurationError
from inspector.redis_io.client import redis_client
from inspector.redis_io.url import Layout, parse_redis_url, with_sentinel_login

hosts = st.sampled_from(["h", "redis.line-1", "192.0.2.7", "[2001:db8::1]"])
ports = st.integers(1, 65_535)
logins = st.none() | st.tuples(st.text(max_size=8), st.text(min_size=1, max_size=12))


@pytest.mark.parametrize(
    ("url", "layout", "addresses", "service", "server_url"),
    [
        ("redis://h", Layout.SINGLE, [("h", 6379)], "", "redis://h:6379"),
        ("rediss://u:p@h:1/2", Layout.SINGLE, [("h", 1)], "", "rediss://u:p@h:1/2"),
        (
            "redis+sentinel://u:p@a:1,b/line/3?x=1",
            Layout.SENTINEL,
            [("a", 1), ("b", 26379)],
            "line",
            "redis://u:p@a:1/3?x=1",
        ),
        (
            "rediss+sentinel://a/line",
            Layout.SENTINEL,
            [("a", 26379)],
            "line",
            "rediss://a:26379",
        ),
        (
            "redis+cluster://[::1]:7000,h:7001/0",
            Layout.CLUSTER,
            [("::1", 7000), ("h", 7001)],
            "",
            "redis://[::1]:7000/0",
        ),
    ],
)
def test_each_layout_has_its_form(url, layout, addresses, service, server_url):
    found = parse_redis_url(url)
    assert found.layout is layout
    assert list(found.addresses) == addresses
    assert found.service == service
    assert found.server_url == server_url


@pytest.mark.parametrize(
    "url",
    [
        *("", "h:6379", "http://h", "redis:///0", "redis://h:0", "redis://h:65536", "redis://h:x"),
        *("redis://a,b", "redis://h/x", "redis://h/1/2", "redis://[::1", "redis://h,"),
        *("redis+sentinel://h", "redis+sentinel://h/line/x", "redis+sentinel:///line"),
        *("redis+cluster://h/1", "redis+cluster://h,,i", "sentinel://h/line", "redis+x://h"),
    ],
)
def test_other_forms_are_refused(url):
    with pytest.raises(ValueError, match=r"."):
        parse_redis_url(url)


@given(
    scheme=st.sampled_from(["redis", "rediss"]),
    layout=st.sampled_from(["", "+sentinel", "+cluster"]),
    login=logins,
    nodes=st.lists(st.tuples(hosts, ports), min_size=1, max_size=4),
)
def test_login_and_addresses_survive(scheme, layout, login, nodes):
    nodes = nodes if layout else nodes[:1]
    before = "" if login is None else f"{quote(login[0], safe='')}:{quote(login[1], safe='')}@"
    places = ",".join(f"{host}:{port}" for host, port in nodes)
    service = "/line" if layout == "+sentinel" else ""
    found = parse_redis_url(f"{scheme}{layout}://{before}{places}{service}")
    assert [port for _, port in found.addresses] == [port for _, port in nodes]
    assert [host for host, _ in found.addresses] == [host.strip("[]") for host, _ in nodes]
    server = urlsplit(found.server_url)
    assert server.scheme == scheme
    assert server.netloc.startswith(before)
    assert login is None or quote(login[1], safe="") in found.server_url


@given(st.text(max_size=60), st.text(min_size=6, max_size=20, alphabet="abcdefXYZ0123"))
def test_whatever_is_written_is_read_or_refused_without_its_password(junk, password):
    for text in (junk, f"redis+sentinel://u:{password}@{junk}", f"redis://{junk}:{password}@h"):
        try:
            shown = repr(parse_redis_url(text))
        except ValueError as error:
            shown = str(error)
        assert password not in shown or password in junk


def test_the_sentinels_login_travels_in_the_query():
    url = "redis+sentinel://u:p@h/line/0?ssl_ca_certs=%2Fca"
    assert with_sentinel_login(url, None, None) == url
    full = with_sentinel_login(url, "watch", "s&=+ecret")
    found = parse_redis_url(full)
    assert found.sentinel_login == ("watch", "s&=+ecret")
    assert parse_qs(urlsplit(found.server_url).query) == {"ssl_ca_certs": ["/ca"]}


@pytest.mark.parametrize(
    "url",
    [
        *("redis://h/0?fo=1", "rediss://h?fo=1", "redis+cluster://h?fo=1", "unix:///s?fo=1"),
        "redis+sentinel://h/line/0?fo=1",
    ],
)
def test_an_option_that_no_connection_knows_is_refused_before_one_is_needed(url):
    with pytest.raises(ConfigurationError, match=r"redis\.url: cannot be read"):
        redis_client(url, password=None, timeout_s=1, connect_timeout_s=1, key="k")


@pytest.mark.parametrize("password", ["12#34", "12/34", "12?34", "12/3?4=5", "12?a=34"])
@pytest.mark.parametrize("scheme", ["redis", "rediss", "redis+sentinel", "redis+cluster"])
@pytest.mark.parametrize("user", ["", "inspector"])
def test_a_password_that_was_not_encoded_never_names_a_server(scheme, password, user):
    path = "/line/0" if scheme.endswith("sentinel") else ""
    with pytest.raises(ValueError, match=r".") as refusal:
        parse_redis_url(f"{scheme}://{user}:{password}@redis.local:6379{path}")
    assert "34" not in str(refusal.value)
    assert "12" not in str(refusal.value)


def test_a_login_in_the_query_may_hold_an_at_sign():
    assert parse_redis_url("redis://h:1/0?password=a@b").addresses == (("h", 1),)
