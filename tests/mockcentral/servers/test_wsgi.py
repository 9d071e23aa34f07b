"""A WSGI application is run by the book: checked by wsgiref's validator and by Flask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.validate import validator

import flask
import pytest

from mockcentral.servers import wsgi

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse


def environ_of(
    target: str = "/", headers: Iterable[tuple[str, str]] = (), body: bytes = b"", **more: Any
) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        seen.update(environ)
        seen["body"] = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b""]

    response = wsgi.call(validator(app), more.pop("method", "GET"), target, headers, body, **more)
    assert response.status == 200
    return seen


def test_the_environ_is_what_pep_3333_says() -> None:
    environ = environ_of(
        "/events/management/v1/watchtopics/a%20b?page=1&query=x%3E1",
        [
            ("host", "fake:80"),
            ("content-type", "application/json"),
            ("content-length", "99"),
            ("x-tenant", "1"),
            ("X-Tenant", "2"),
            ("x_tenant", "smuggled"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
        ],
        b'{"a":1}',
        method="POST",
        scheme="https",
        host="127.0.0.1:8443",
        remote="10.0.0.9",
        environ_extra={"mockcentral.connection": 7},
    )
    expected = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/events/management/v1/watchtopics/a b",
        "QUERY_STRING": "page=1&query=x%3E1",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "10.0.0.9",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": "7",
        "HTTP_HOST": "fake:80",
        "HTTP_X_TENANT": "1,2",
        "HTTP_COOKIE": "a=1; b=2",
        "wsgi.url_scheme": "https",
        "mockcentral.connection": 7,
        "body": b'{"a":1}',
    }
    assert {key: environ.get(key) for key in expected} == expected
    assert "HTTP_CONTENT_LENGTH" not in environ


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/%C3%BC", "/\xc3\xbc"),
        ("/\xc3\xbc", "/\xc3\xbc"),
        ("/ü€", "/\xc3\xbc\xe2\x82\xac"),
        ("/100%", "/100%"),
        ("/a//b/../c", "/a//b/../c"),
        ("http://central.example/apis?x", "/apis"),
    ],
)
def test_paths_are_bytes_in_latin_1_disguise(target: str, path: str) -> None:
    assert environ_of(target)["PATH_INFO"] == path


@pytest.mark.parametrize(
    ("host", "name", "port"),
    [("[::1]:81", "::1", "81"), ("localhost", "localhost", "80"), ("::1", ":", "1"), ("[::1]", "::1", "80")],
)
def test_the_listening_address_is_split(host: str, name: str, port: str) -> None:
    environ = environ_of(host=host)
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == (name, port)


def test_flask_answers_without_a_server() -> None:
    app = flask.Flask("test")

    @app.route("/greet/<name>", methods=["POST"])
    def greet(name: str) -> tuple[dict[str, Any], int, dict[str, str]]:
        return {"name": name, "got": flask.request.get_json(), "all": flask.request.args}, 201, {"X-A": "b"}

    response = wsgi.call(
        app.wsgi_app, "POST", "/greet/%C3%9Cmit?q=%C3%A9", [("Content-Type", "application/json")], b"[1]", host="x:1"
    )
    assert response.status == 201
    assert ("X-A", "b") in response.headers
    assert flask.json.loads(response.body) == {"name": "Ümit", "got": [1], "all": {"q": "é"}}
    assert wsgi.call(app.wsgi_app, "GET", "/nowhere", [], b"").status == 404


def test_write_generators_and_close_are_supported() -> None:
    class Body:
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            yield b"b"
            yield b"c"

        def close(self) -> None:
            Body.closed = True

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("202 Accepted", [])(b"a")
        return Body()

    assert wsgi.call(app, "GET", "/", [], b"") == wsgi.Response(202, (), b"abc")
    assert Body.closed


def test_an_application_may_start_late() -> None:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [])
        yield b"x"

    assert wsgi.call(app, "GET", "/", [], b"").body == b"x"


def broken_at_once(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    raise ValueError("secret token")


def broken_midway(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    yield b"half"
    raise ValueError("secret token")


def never_started(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    return [b"x"]


def started_twice(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    start_response("200 OK", [])
    return []


@pytest.mark.parametrize("app", [broken_at_once, broken_midway, never_started, started_twice])
def test_an_exception_becomes_a_500_in_one_line_and_goes_to_the_hook(app: Any) -> None:
    errors: list[BaseException] = []
    response = wsgi.call(app, "GET", "/", [], b"", on_error=errors.append)
    assert response.status == 500
    assert response.body.count(b"\n") == 1
    assert b"secret" not in response.body
    assert len(errors) == 1
    assert errors[0].__traceback__ is not None


def test_ctrl_c_is_no_error_of_the_application() -> None:
    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wsgi.call(app, "GET", "/", [], b"")
