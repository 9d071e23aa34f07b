"""Which way to a server: the table of settings and environments."""

from __future__ import annotations

import pytest

from watchmanager._core.proxies import NoProxy, Target, decide, parse_proxy, redact
from watchmanager.errors import ConfigError
from watchmanager.policy import Proxy

SERVER = Target("central.example.com", 443)
PLAIN = Target("central.example.com", 80, tls=False)
ENV = Proxy(trust_env=True)


def chosen(target: Target, proxy: Proxy | None, **environ: str) -> str:
    decision = decide(target, proxy, environ)
    assert decision.why in decision.explain()
    return "direct" if decision.proxy is None else str(decision.proxy)


def test_without_settings_the_way_is_direct_and_the_environment_is_not_asked() -> None:
    assert chosen(SERVER, None, https_proxy="http://proxy:3128") == "direct"
    assert chosen(SERVER, Proxy(), https_proxy="http://proxy:3128") == "direct"
    assert "trust_env" in decide(SERVER, None, {}).why


def test_an_explicit_proxy_wins_over_the_environment_and_its_exclusions() -> None:
    proxy = Proxy(url="http://mine:1", trust_env=True)
    assert chosen(SERVER, proxy, https_proxy="http://other:2", no_proxy="*") == "http://mine:1"


@pytest.mark.parametrize(
    ("environ", "want"),
    [
        ({"grpc_proxy": "http://a:1", "https_proxy": "http://b:1", "all_proxy": "http://c:1"}, "http://a:1"),
        ({"https_proxy": "http://b:1", "all_proxy": "http://c:1"}, "http://b:1"),
        ({"all_proxy": "http://c:1"}, "http://c:1"),
        ({"http_proxy": "http://d:1"}, "direct"),
        ({"HTTPS_PROXY": "http://b:1"}, "http://b:1"),
        ({"https_proxy": "http://b:1", "HTTPS_PROXY": "http://B2:1"}, "http://b:1"),
        ({"https_proxy": "", "HTTPS_PROXY": "http://b:1"}, "direct"),
        ({"https_proxy": " ", "ALL_PROXY": "socks5h://c:1080"}, "socks5h://c:1080"),
        ({"https_proxy": "b:3128"}, "http://b:3128"),
        ({"https_proxy": "http://b:1", "no_proxy": "other, example.com"}, "direct"),
        ({"https_proxy": "http://b:1", "NO_PROXY": ".example.com"}, "direct"),
        ({"https_proxy": "http://b:1", "no_proxy": "a.com b.com"}, "http://b:1"),
        ({"https_proxy": "http://b:1", "no_grpc_proxy": "a.com", "no_proxy": "*"}, "http://b:1"),
        ({"https_proxy": "http://b:1", "no_grpc_proxy": "*"}, "direct"),
    ],
)
def test_the_environment_is_read_in_a_documented_order(environ: dict[str, str], want: str) -> None:
    assert chosen(SERVER, ENV, **environ) == want


def test_a_server_without_tls_goes_by_http_proxy() -> None:
    assert chosen(PLAIN, ENV, http_proxy="http://d:1", https_proxy="http://b:1") == "http://d:1"
    assert chosen(PLAIN, ENV, HTTP_PROXY="http://d:1") == "http://d:1"


def test_a_cgi_program_does_not_let_its_caller_choose_the_proxy() -> None:
    assert chosen(PLAIN, ENV, HTTP_PROXY="http://evil:1", REQUEST_METHOD="GET") == "direct"
    assert chosen(PLAIN, ENV, http_proxy="http://d:1", REQUEST_METHOD="GET") == "http://d:1"


@pytest.mark.parametrize(
    ("entry", "host", "port", "listed"),
    [
        ("example.com", "example.com", 443, True),
        ("example.com", "a.b.example.com", 443, True),
        ("example.com", "badexample.com", 443, False),
        ("EXAMPLE.com.", "example.COM", 443, True),
        (".example.com", "example.com", 443, False),
        (".example.com", "a.example.com", 443, True),
        ("*.example.com", "a.example.com", 443, True),
        ("*.example.com", "example.com", 443, False),
        ("*", "whatever", 1, True),
        ("example.com:443", "example.com", 443, True),
        ("example.com:444", "example.com", 443, False),
        ("10.0.0.0/8", "10.1.2.3", 443, True),
        ("10.0.0.0/8", "11.1.2.3", 443, False),
        ("10.1.0.0/8", "10.9.2.3", 443, True),
        ("10.0.0.0/8", "host.example.com", 443, False),
        ("127.0.0.1", "127.0.0.1", 443, True),
        ("127.0.0.1", "127.0.0.10", 443, False),
        ("127.0.0.1:443", "127.0.0.1", 443, True),
        ("::1", "::1", 443, True),
        ("[::1]:443", "0:0:0:0:0:0:0:1", 443, True),
        ("[::1]:444", "::1", 443, False),
        ("fd00::/8", "fd12::1", 443, True),
        ("localhost", "127.0.0.1", 443, False),
        ("c*.example.com", "c1.example.com", 443, True),
        ("c*.example.com", "d1.example.com", 443, False),
        ("10.", "10.1.2.3", 443, True),
        ("10.", "100.1.2.3", 443, False),
        ("192.168.*", "192.168.0.1", 443, True),
        ("192.168.*:444", "192.168.0.1", 443, False),
        ("192.168.*", "192.169.0.1", 443, False),
        ("bücher.example", "bücher.example", 443, True),
        (".bücher.example", "a.xn--bcher-kva.example", 443, True),
    ],
)
def test_an_exclusion_lists_what_it_says(entry: str, host: str, port: int, listed: bool) -> None:
    assert (NoProxy.parse([entry], "x").match(Target(host, port)) == entry) is listed


def test_the_settings_own_exclusions_hold_for_both_ways_of_setting_a_proxy() -> None:
    assert chosen(SERVER, Proxy(url="http://mine:1", no_proxy=("example.com",))) == "direct"
    own = Proxy(trust_env=True, no_proxy=("example.com",))
    assert chosen(SERVER, own, https_proxy="http://b:1", no_proxy="else") == "direct"


@pytest.mark.parametrize(
    "value",
    [
        "ftp://user:hidden@proxy:21",
        "socks4://user:hidden@proxy:1080",
        "socks://user:hidden@proxy:1080",
        "http://user:hidden@proxy",
        "http://user:hidden@proxy:0",
        "http://user:hidden@proxy:99999",
        "http://user:hidden@proxy:port",
        "http://user:hidden@:3128",
        "http://user:hidden@proxy:3128/path",
        "http://user:hidden@proxy:3128?x",
        "http://user:hid den@proxy:3128",
        "http://user:hidden\r\nX: y@proxy:3128",
        "http://user:hidden%0d%0aX@proxy:3128",
        "http://us%3aer:hidden@proxy:3128",
        "http://user:hidden%zz@proxy:3128",
        "http://user:hidden%@proxy:3128",
        "http://user:hid://den@proxy:3128",
        "http://user:hidden@a..b:3128",
        "http://user:hidden@*:1",
        "http://user:hidden@pro%20xy:3128",
        "http://user:hidden@999.1.1.1:1",
        "http://user:hidden@" + "x" * 64 + ":1",
        "socks5://user@proxy:1080",
        "socks5://:hidden@proxy:1080",
        "socks5://user:hidden" + "x" * 256 + "@proxy:1080",
        "http://user:hidden@[::1:3128",
        "http://user:p@hidden/@proxy:x",
    ],
)
def test_a_bad_value_is_an_error_that_names_it_but_not_its_password(value: str) -> None:
    with pytest.raises(ConfigError, match=r"the variable https_proxy is ") as caught:
        decide(SERVER, ENV, {"https_proxy": value})
    assert "hidden" not in str(caught.value)
    with pytest.raises(ConfigError):
        decide(SERVER, ENV, {"https_proxy": value, "no_proxy": "*"})


@pytest.mark.parametrize(
    "entry",
    [
        *("http://example.com", "user@host", "10.0.0.0/99", "fe80::%eth0/10", "0.0.1", "256.1.1.1"),
        *("example.com:https", "example.com:0", "example.com:99999", ":443"),
        *(".", "*.", "**", "[", "[]:443", "[x]:443", "%", "a;b", "'quoted'", "<local>"),
    ],
)
def test_a_bad_exclusion_is_an_error_too(entry: str) -> None:
    with pytest.raises(ConfigError, match="no_proxy lists"):
        decide(SERVER, ENV, {"https_proxy": "http://b:1", "no_proxy": entry})


def test_credentials_are_decoded_and_never_shown() -> None:
    server = parse_proxy("http://us%40er:p%3Aass%C3%A9@proxy:3128", "x")
    assert (server.user, server.password) == ("us@er", "p:assé")
    assert server.basic == "Basic dXNAZXI6cDphc3PDqQ=="
    assert "ass" not in repr(server)
    assert str(server) == "http://us@er:***@proxy:3128"
    assert redact("http://u:p@x@host:1") == "http://u:***@host:1"


def test_ipv6_hosts_keep_their_brackets_where_they_need_them() -> None:
    server = parse_proxy("http://[fd00::1]:3128", "x")
    assert (server.host, str(server)) == ("fd00::1", "http://[fd00::1]:3128")
    assert str(Target.from_address("[::1]:443")) == "[::1]:443"


@pytest.mark.parametrize("address", ["host", "host:", ":1", "host:1/x", "host:x", "::1", "[::1", ""])
def test_an_address_that_is_none_is_an_error(address: str) -> None:
    with pytest.raises(ConfigError, match="write host:port"):
        Target.from_address(address)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "https://x:99999", "https://[::1"])
def test_a_url_that_is_none_is_an_error(url: str) -> None:
    with pytest.raises(ConfigError):
        Target.from_url(url)
