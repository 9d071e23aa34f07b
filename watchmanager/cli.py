"""The command line: `python -m watchmanager tail TOPIC`, `checkpoint get|set`, `doctor`.

Exit codes: 0 done, 1 the watch failed, 2 usage or configuration, 130 Ctrl-C, 143 SIGTERM or SIGHUP. Every expected
error is one line.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.util
import io
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TextIO

if TYPE_CHECKING:
    from watchmanager._core.status import State
    from watchmanager.aio import AsyncWatch, AsyncWatchManager
    from watchmanager.auth import TokenLike
    from watchmanager.events import Item
    from watchmanager.policy import TLS, Proxy

# asyncio and all that is heavy is imported when it is needed: a Ctrl-C before `main` runs is a traceback.
FAILED, USAGE, INTERRUPTED, TERMINATED = 1, 2, 130, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Without arguments it is the process's own, with its output."""
    try:
        if arguments is None:
            _show_everything()
        return _run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `... | head`: nobody reads on, which is nobody's error
        _lost_output()
        return 0
    except Exception as error:
        from watchmanager.errors import ConfigError, WatchError

        if isinstance(error, WatchError):
            return _say(str(error), USAGE if isinstance(error, ConfigError) else FAILED)
        if isinstance(error, ModuleNotFoundError) and not (error.name or "").startswith("watchmanager"):
            return _say(f"{error.name} is not installed", USAGE)
        if isinstance(error, OSError) and (lost := _lost_output()) is not None:
            return _say(f"standard output cannot be written: {lost.strerror}", FAILED)
        raise


def _run(arguments: list[str]) -> int:
    try:
        options = _parser().parse_args(arguments)
        code: int = options.run(options)
        return code
    finally:  # here, where an error has words, and not when the interpreter ends
        if sys.stdout is not None:
            sys.stdout.flush()


def _show_everything() -> None:
    """A name that the terminal's charset does not have is shown in escapes: it must not end what would go on."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.encoding.lower().replace("-", "") != "utf8":
            stream.reconfigure(errors="backslashreplace")


def _lost_output() -> OSError | None:
    """Why stdout takes not even an empty line, and then nothing is written to it any more; None when it does."""
    try:
        print(flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return error
    return None


def _say(text: str, code: int) -> int:
    print(f"watchmanager: {' '.join(text.split())}", file=sys.stderr)
    return code


# ---------------------------------------------------------------- arguments
class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"watchmanager: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="watchmanager", description="Follow watch topics of Amplify Central.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    tail = commands.add_parser("tail", help="print the events of a topic as they come")
    _add_tail(tail)
    tail.set_defaults(run=_run_tail)
    checkpoint = commands.add_parser("checkpoint", help="look at or set the position in a checkpoint file")
    _add_checkpoint(checkpoint)
    checkpoint.set_defaults(run=_run_checkpoint)
    if importlib.util.find_spec("watchmanager.doctor") is not None:
        doctor = importlib.import_module("watchmanager.doctor")
        examine = commands.add_parser("doctor", help="find out which step of connecting fails")
        doctor.add_arguments(examine)
        examine.set_defaults(run=doctor.run)
    return parser


def add_connection_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the server is and who asks. Each has a variable WATCHMANAGER_NAME, and the MOCKCENTRAL_ one a fake sets."""
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--ready-file", metavar="FILE", help="where a fake is, as `mockcentral serve --ready-file` wrote it"
    )
    group.add_argument("--address", metavar="HOST:PORT", help="the server, spoken to with TLS unless --insecure")
    group.add_argument("--url", metavar="URL", help="the server, as http://host:port or https://host:port")
    group.add_argument("--insecure", action="store_true", help="speak plain text with --address")
    group.add_argument("--ca", metavar="FILE", help="PEM file with the CA to trust")
    group.add_argument("--extra-ca", metavar="FILE", help="PEM file with a CA to trust besides the system's")
    group.add_argument(
        "--proxy", metavar="URL", help="http://, https://, socks5:// or socks5h://[user:password@]host:port"
    )
    group.add_argument("--proxy-from-env", action="store_true", help="go by https_proxy, no_proxy and the like")
    group.add_argument("--single-entry", metavar="HOST:PORT", help="dial this address, name the server's")
    group.add_argument("--tenant", metavar="ID", help="the organization id")
    group.add_argument("--token", metavar="JWT", help="a token (shows in the process list; better --token-file)")
    group.add_argument("--token-file", metavar="FILE", help="a file with a token, read again when one is needed")
    group.add_argument("--auth-url", metavar="URL", help="the token endpoint's base, what comes before /realms")
    group.add_argument("--client-id", metavar="ID", help="the service account, with --auth-url")
    group.add_argument("--private-key", metavar="FILE", help="PEM file with its RSA key, with --auth-url")


def _add_tail(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", metavar="TOPIC", nargs="?", help="name or selfLink of the WatchTopic")
    add_connection_arguments(parser)
    group = parser.add_argument_group("what to print")
    group.add_argument("-o", "--output", choices=("text", "jsonl", "l1"), default="text", help="form of a line")
    group.add_argument("--since", metavar="N|latest|earliest", help="begin after this sequence (default latest)")
    group.add_argument("--checkpoint", metavar="FILE", help="keep the position here and go on from it")
    group.add_argument("--count", metavar="N", type=_count, help="end after so many events")
    group.add_argument("--until", choices=("caught-up",), help="end when there is nothing older left")
    group.add_argument("--on-gone", choices=("raise", "skip", "earliest"), default="raise", help="when history is gone")
    group.add_argument("--keepalive", metavar="SECONDS", type=float, help="HTTP/2 ping interval (default 50)")
    group.add_argument(
        "--keepalive-timeout", metavar="SECONDS", type=float, help="and how long for its ack (default 10)"
    )
    group.add_argument("--page-size", metavar="N", type=_count, help="events per page of history (default 100)")
    group.add_argument(
        "--audit-interval", metavar="SECONDS", type=float, help="compare with history so often (default 300)"
    )
    group.add_argument("-v", "--verbose", action="count", default=0, help="say on stderr what goes on; twice for more")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)


def _setting(given: str | None, environment: Mapping[str, str], *names: str) -> str | None:
    """The flag, or the first of these variables that is set and not empty."""
    if given:
        return given
    return next((environment[name] for name in names if environment.get(name)), None)


def surroundings(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """The environment that fills in for missing flags: with --ready-file what it says comes before the variables.

    Raises ConfigError when the file is none.
    """
    from watchmanager.errors import ConfigError

    if options.ready_file is None:
        return environment
    try:
        with open(options.ready_file, encoding="utf-8") as file:
            ready = json.load(file)
    except OSError as error:
        raise ConfigError(f"ready file {options.ready_file!r} cannot be read: {error.strerror}") from None
    except ValueError:
        ready = None
    if not isinstance(ready, dict) or not isinstance(ready.get("http_url"), str):
        raise ConfigError(f"{options.ready_file!r} is no ready file: mockcentral serve --ready-file writes one")
    topics = ready.get("topics")
    told = {
        "MOCKCENTRAL_HTTP_URL": ready["http_url"],
        "MOCKCENTRAL_TOPIC": topics[0] if isinstance(topics, list) and topics else "",
        **{f"MOCKCENTRAL_{name.upper()}": ready.get(name) for name in ("tenant", "auth_url", "token", "ca_file")},
    }
    others = {name: value for name, value in environment.items() if name not in _OF_A_SERVER}
    return {**others, **{name: value for name, value in told.items() if isinstance(value, str)}}


_OF_A_SERVER = frozenset(
    f"{prefix}_{name}"
    for prefix in ("WATCHMANAGER", "MOCKCENTRAL")
    for name in ("URL", "HTTP_URL", "ADDRESS", "TENANT", "TOPIC", "TOKEN", "TOKEN_FILE", "AUTH_URL", "CA", "CA_FILE")
)
"""What a ready file answers, so that no variable of another server may get between."""


def connection(options: argparse.Namespace, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Arguments for a manager out of flags and environment. Raises ConfigError naming the flag that is missing."""
    from watchmanager.errors import ConfigError
    from watchmanager.policy import TLS, Proxy

    url = _setting(options.url, environment, "WATCHMANAGER_URL")
    address = _setting(options.address, environment, "WATCHMANAGER_ADDRESS")
    if options.address and not options.url:
        url = None
    if url is None and address is None:
        url = _setting(None, environment, "MOCKCENTRAL_HTTP_URL")
        address = _setting(None, environment, "MOCKCENTRAL_ADDRESS")
    if url is None and address is None:
        raise ConfigError(
            "where is the server? give --url https://host:port, --address host:port or WATCHMANAGER_ADDRESS"
        )
    if url is not None:
        address = url
    tenant = _setting(options.tenant, environment, "WATCHMANAGER_TENANT", "MOCKCENTRAL_TENANT")
    if tenant is None:
        raise ConfigError("which tenant? give --tenant or WATCHMANAGER_TENANT")
    ca = _setting(options.ca, environment, "WATCHMANAGER_CA", "MOCKCENTRAL_CA_FILE")
    tls: TLS | None = None
    if (ca or options.extra_ca) and not (address or "").startswith("http://") and not options.insecure:
        tls = TLS(ca=ca, extra_ca=options.extra_ca)
    url = _setting(options.proxy, environment, "WATCHMANAGER_PROXY")
    proxy = Proxy(url=url, trust_env=options.proxy_from_env) if url or options.proxy_from_env else None
    return {
        "address": address,
        "insecure": options.insecure,
        "tenant_id": tenant,
        "tls": tls,
        "proxy": proxy,
        "single_entry": options.single_entry,
        "token": _token(options, environment, tls, proxy),
    }


def _token(
    options: argparse.Namespace, environment: Mapping[str, str], tls: TLS | None, proxy: Proxy | None
) -> TokenLike:
    from watchmanager.auth import ClientCredentials
    from watchmanager.errors import ConfigError

    if options.token:
        return str(options.token)
    if options.token_file:
        return _token_reader(options.token_file)
    auth_url = _setting(options.auth_url, environment, "WATCHMANAGER_AUTH_URL")
    if (
        auth_url is None
        and not environment.get("WATCHMANAGER_TOKEN")
        and not environment.get("WATCHMANAGER_TOKEN_FILE")
    ):
        # Tokens of a fake may be short-lived: with its endpoint the watch outlives them.
        auth_url = environment.get("MOCKCENTRAL_AUTH_URL") or None
    if auth_url is not None:
        client_id = _setting(options.client_id, environment, "WATCHMANAGER_CLIENT_ID") or "watchmanager"
        key = _setting(options.private_key, environment, "WATCHMANAGER_PRIVATE_KEY")
        return ClientCredentials(auth_url, client_id, private_key=key, tls=tls, proxy=proxy)
    file = environment.get("WATCHMANAGER_TOKEN_FILE")
    if file:
        return _token_reader(file)
    token = _setting(None, environment, "WATCHMANAGER_TOKEN", "MOCKCENTRAL_TOKEN")
    if token is None:
        raise ConfigError("who are you? give --token-file, --auth-url with --client-id and --private-key, or --token")
    return token


def _token_reader(path: str) -> TokenLike:
    from watchmanager.errors import ConfigError, TokenProviderError

    def read() -> str:
        try:
            with open(path, encoding="ascii") as file:
                return file.read().strip()
        except OSError as error:
            raise TokenProviderError(f"token file {path!r} cannot be read: {error.strerror}") from None
        except UnicodeError:
            raise TokenProviderError(f"token file {path!r} holds something that is no token") from None

    try:
        read()
    except TokenProviderError as error:
        raise ConfigError(str(error)) from None  # a wrong path shows now, not after the first retry
    return read


# ---------------------------------------------------------------- tail
def _run_tail(options: argparse.Namespace) -> int:
    import asyncio

    from watchmanager.aio import AsyncWatchManager
    from watchmanager.checkpoints import FileCheckpoints
    from watchmanager.errors import ConfigError
    from watchmanager.policy import History, Keepalive

    if sys.stdout is None:  # what is printed counts as processed
        raise ConfigError("standard output is closed: there is nowhere to print to")
    environment = surroundings(options)
    topic = _setting(options.topic, environment, "WATCHMANAGER_TOPIC", "MOCKCENTRAL_TOPIC")
    if topic is None:
        raise ConfigError("which topic? write its name or selfLink: watchmanager tail my-topic")
    _set_up_logging(options.verbose)
    file = options.checkpoint
    state = environment.get("MOCKCENTRAL_STATE_DIR")
    if file is None and state and os.path.isdir(state):
        file = os.path.join(state, "watchmanager-checkpoint.json")
    keepalive = {"interval": options.keepalive, "timeout": options.keepalive_timeout}
    history = {"page_size": options.page_size, "audit_interval": options.audit_interval}
    manager = AsyncWatchManager(
        **connection(options, environment),
        checkpoints=None if file is None else FileCheckpoints(file),
        keepalive=Keepalive(**{name: value for name, value in keepalive.items() if value is not None}),
        history=History(**{name: value for name, value in history.items() if value is not None}),
        user_agent="watchmanager-tail",
    )
    printer = _Printer(options.output, sys.stdout)
    since = _since(options.since)
    if file is None:
        watch = manager.watch(topic, start=since or "latest", on_gone=options.on_gone, on_state=printer.state)
    elif isinstance(since, int):
        watch = manager.watch(topic, start=since, on_gone=options.on_gone, on_state=printer.state)
    else:
        fallback: Literal["latest", "earliest"] = since or "latest"
        watch = manager.watch(
            topic, start="checkpoint", fallback=fallback, on_gone=options.on_gone, on_state=printer.state
        )
    return asyncio.run(_tail(manager, watch, printer, options.count, options.until == "caught-up"))


def _since(text: str | None) -> Any:
    from watchmanager.errors import ConfigError

    if text is None or text in ("latest", "earliest"):
        return text
    if _is_sequence(text):
        return int(text)
    raise ConfigError(f"--since is {text!r}: write a sequence, latest or earliest")


def _is_sequence(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20 and int(text) < 2**63


async def _tail(
    manager: AsyncWatchManager, watch: AsyncWatch, printer: _Printer, count: int | None, until_caught_up: bool
) -> int:
    """Print until told to stop; the position is saved in any case."""
    import asyncio

    loop = asyncio.get_running_loop()
    work = asyncio.ensure_future(_print(watch, printer, count, until_caught_up))
    stopped: list[int] = []

    def stop(code: int) -> None:
        if stopped:
            os._exit(code)  # the second time they mean it
        stopped.append(code)
        work.cancel()

    signals: list[tuple[int, int]] = [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, TERMINATED)]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append((signal.SIGHUP, TERMINATED))  # ignored: somebody wants it to outlive its terminal, as nohup does
    for number, code in signals:
        with contextlib.suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, stop, code)
    try:
        await work
    except asyncio.CancelledError:
        if not stopped:
            raise
    finally:
        await manager.close()
        for number, _ in signals:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
    return stopped[0] if stopped else 0


async def _print(watch: AsyncWatch, printer: _Printer, count: int | None, until_caught_up: bool) -> None:
    left = count
    items = watch.catch_up() if until_caught_up else watch
    async for item in items:
        printer.item(item)
        # Printed and flushed is processed.
        watch.commit(item)
        if left is not None:
            left -= 1
            if left <= 0:
                return


class _Printer:
    """Writes items in one of the forms, a line each, flushed: whoever reads the pipe sees it now."""

    def __init__(self, form: str, out: TextIO) -> None:
        self._form = form
        self._out = out
        self._connected: bool | None = None

    def item(self, item: Item) -> None:
        from watchmanager.events import Event

        if self._form == "l1":
            if isinstance(item, Event):
                self._json({"type": "applied", "sequence": item.sequence, "id": item.id, "op": item.type.value})
            return
        if self._form == "jsonl":
            self._json(as_json(item))
        elif isinstance(item, Event):
            scope = f" in {item.scope.kind}/{item.scope.name}" if item.scope is not None else ""
            sub = f" ({item.subresource})" if item.subresource else ""
            mark = "  [recovered]" if item.recovered else ""
            head = f"{item.sequence:>10}  {item.time:<28}  {item.type.value:<18}"
            self._line(f"{head}  {item.kind}/{item.name}{scope}{sub}{mark}")
        else:
            self._line(f"{item.sequence:>10}  gap: events after {item.after} may be missing ({item.reason.value})")

    def state(self, state: State, why: str) -> None:
        """L1 wants to know whether a stream stands."""
        if self._form != "l1":
            return
        connected = state.value in ("LIVE", "CATCHING_UP")
        if connected is not self._connected:
            self._connected = connected
            with contextlib.suppress(OSError):  # the next item meets it, too, where it ends the command
                self._json({"type": "status", "connected": connected})

    def _json(self, value: dict[str, Any]) -> None:
        self._line(json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def _line(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()


def as_json(item: Item) -> dict[str, Any]:
    """An item as one JSON object, the same for events from the stream and from history."""
    from dataclasses import asdict

    from watchmanager.events import Event

    if not isinstance(item, Event):
        return {"type": "GAP", "after": item.after, "through": item.through, "reason": item.reason.value}
    resource = item.resource
    return {
        "type": item.type_name if item.type.value == "UNKNOWN" else item.type.value,
        "sequence": item.sequence,
        "id": item.id,
        "time": item.time,
        "topic": item.topic,
        "subresource": item.subresource or None,
        "recovered": item.recovered,
        "resource": {
            "group": resource.group,
            "kind": resource.kind,
            "name": resource.name,
            "id": resource.id,
            "selfLink": resource.self_link,
            "scope": None if resource.scope is None else asdict(resource.scope),
            "references": [asdict(each) for each in resource.references],
            "attributes": dict(resource.attributes),
        },
    }


def _set_up_logging(verbose: int) -> None:
    import logging

    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("watchmanager").setLevel(level)


# ---------------------------------------------------------------- checkpoint
def _add_checkpoint(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="get|set")
    get = verbs.add_parser("get", help="print the positions in a file")
    get.add_argument("file", metavar="FILE")
    get.add_argument("topic", metavar="TOPIC", nargs="?")
    put = verbs.add_parser("set", help="set a position")
    put.add_argument("file", metavar="FILE")
    put.add_argument("topic", metavar="TOPIC")
    put.add_argument("sequence", metavar="SEQUENCE")


def _run_checkpoint(options: argparse.Namespace) -> int:
    from watchmanager._core.address import topic_link
    from watchmanager.checkpoints import FileCheckpoints
    from watchmanager.errors import ConfigError

    topic = None if options.topic is None else topic_link(options.topic)
    if options.verb == "get" and not os.path.exists(options.file):
        raise ConfigError(f"there is no checkpoint file {options.file!r}")
    store = FileCheckpoints(options.file)
    try:
        if options.verb == "set":
            if not _is_sequence(options.sequence):
                raise ConfigError(f"the sequence is {options.sequence!r}: write a whole number from 0 to 2**63 - 1")
            assert topic is not None
            store.save(topic, int(options.sequence))
            return 0
        found = store.topics()
        if topic is None:
            for link, sequence in sorted(found.items()):
                print(f"{sequence}\t{link}")
            return 0
        if topic not in found:
            return _say(f"{options.file} has no position for {topic}", FAILED)
        print(found[topic])
        return 0
    finally:
        store.close()
