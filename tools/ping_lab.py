"""Sends known clients through the PING lab and writes what they showed into docs/ping-lab.md.

    python tools/ping_lab.py                  all of them, two at a time: about a quarter of an hour
    python tools/ping_lab.py --only grpcio    those with that word in their name; the page keeps the other columns

Go and Node.js subjects are left out, and said so, where the tool is not installed. The cards themselves are kept in
docs/ping-lab.json, so that the page can be written again from them (`--write-only`).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from mockcentral.lab.card import Card, side_by_side  # noqa: E402
from mockcentral.lab.measurement import Measurement  # noqa: E402

PAGE, CARDS = ROOT / "docs" / "ping-lab.md", ROOT / "docs" / "ping-lab.json"
BEGIN, END = "<!-- measured: tools/ping_lab.py -->", "<!-- end of measured -->"
SUBJECTS = ROOT / "tests" / "subjects" / "ping_lab"
LONGEST = 900.0


class Absent(Exception):
    """A subject cannot be built here."""


@dataclass(frozen=True)
class Subject:
    """A column of the table. `prepare` builds the client in a directory and returns its command line."""

    name: str
    prepare: Callable[[Path], list[str]]
    time_scale: float = 1.0


def python(*arguments: str) -> Callable[[Path], list[str]]:
    return lambda _: [sys.executable, str(SUBJECTS / "grpcio_watch.py"), *arguments]


def ours(*arguments: str) -> Callable[[Path], list[str]]:
    return lambda _: [sys.executable, "-m", "watchmanager", "tail", "-o", "l1", *arguments]


def node(*arguments: str) -> Callable[[Path], list[str]]:
    def prepare(directory: Path) -> list[str]:
        program, npm = shutil.which("node"), shutil.which("npm")
        if program is None or npm is None:
            raise Absent("Node.js is not installed")
        for name in ("package.json", "watch.js"):
            shutil.copy(SUBJECTS / "grpc_js" / name, directory)
        command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
        subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)
        return [program, str(directory / "watch.js"), *arguments]

    return prepare


def go(*arguments: str) -> Callable[[Path], list[str]]:
    def prepare(directory: Path) -> list[str]:
        program = shutil.which("go")
        if program is None:
            raise Absent("Go is not installed")
        built = directory / "grpc_go"
        subprocess.run([program, "build", "-o", str(built), "."], cwd=SUBJECTS / "grpc_go", check=True)
        return [str(built), *arguments]

    return prepare


ALL = (
    Subject("grpcio, defaults", python(), 5.0),
    Subject("grpcio, documented arguments, 1 s and 0.5 s", python("--documented", "1", "0.5", "--retry", "2")),
    Subject("grpcio, the right arguments, 1 s and 0.5 s", python("--right", "1", "0.5", "--retry", "2")),
    Subject("grpc-js, defaults", node(), 5.0),
    Subject("grpc-js, keepalive 1 s and 0.5 s", node("--keepalive", "1", "0.5", "--retry", "2")),
    Subject("grpc-go, defaults", go(), 5.0),
    # Its longer wait leaves a connection without a stream for longer than grpc-go's shortest interval.
    Subject("grpc-go, keepalive 10 s and 2 s", go("-keepalive", "10s", "-timeout", "2s", "-retry", "13s")),
    Subject("watchmanager tail, 1 s and 0.5 s", ours("--keepalive", "1", "--keepalive-timeout", "0.5")),
)


def measured(subject: Subject) -> dict[str, Any] | str:
    """The card of a subject, as JSON says it; a sentence when there is none."""
    with tempfile.TemporaryDirectory(prefix="ping-lab-") as name:
        directory = Path(name)
        try:
            command = subject.prepare(directory)
        except Absent as error:
            return str(error)
        card = directory / "card.json"
        flags = ["--scenario", "ping-lab", "--time-scale", f"{subject.time_scale:g}", "--report", f"card={card}"]
        run = subprocess.run(
            [sys.executable, "-m", "mockcentral", "run", *flags, "--", *command],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LONGEST + 60,
        )
        if run.returncode not in (0, 4) or not card.is_file():
            return f"the run ended with {run.returncode}: {run.stderr.strip().splitlines()[-1:]}"
        found: dict[str, Any] = json.loads(card.read_text(encoding="utf-8"))
        return found


def card_of(found: dict[str, Any]) -> Card:
    """A card out of its JSON."""
    kept = {name: value for name, value in found.items() if name not in ("v", "measurements", "client")}
    measurements = tuple(Measurement(**{**one, "evidence": tuple(one["evidence"])}) for one in found["measurements"])
    return Card(client=tuple(found["client"]), measurements=measurements, **kept)


def table(found: dict[str, Any]) -> str:
    """The measured part of the page."""
    columns = [(subject.name, found[subject.name]) for subject in ALL if subject.name in found]
    lines = [
        "",
        side_by_side([(name, card_of(card)) for name, card in columns]).rstrip(),
        "",
        "| client | it calls itself | run |",
    ]
    lines.append("|---|---|---|")
    for name, card in columns:
        scale = f", `--time-scale {card['time_scale']:g}`" if card["time_scale"] != 1 else ""
        lines.append(f"| {name} | {card['user_agent']} | {card['seconds']:.0f} s{scale} |")
    return "\n".join([*lines, ""])


def write(found: dict[str, Any]) -> None:
    """Put the cards into their file and the table into the page."""
    CARDS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n{table(found)}\n{END}{tail}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="WORD", help="subjects with this in their name")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at once (default 2)")
    parser.add_argument("--write-only", action="store_true", help="measure nothing, write the page from the cards")
    options = parser.parse_args()
    found: dict[str, Any] = json.loads(CARDS.read_text(encoding="utf-8")) if CARDS.is_file() else {}
    chosen = [] if options.write_only else [subject for subject in ALL if options.only in subject.name]
    status = 0
    with ThreadPoolExecutor(options.jobs) as pool:
        for subject, card in zip(chosen, pool.map(measured, chosen), strict=True):
            if isinstance(card, str):
                print(f"{subject.name}: not measured: {card}", file=sys.stderr)
                status = 1
            else:
                # Where things are on this machine is nobody's business.
                card["client"] = [Path(word).name if "/" in word else word for word in card["client"]]
                for one in card["measurements"]:
                    one["evidence"] = []  # lines of a journal that is not kept
                found[subject.name] = card
                print(f"{subject.name}: {card['seconds']} s", flush=True)
    write(found)
    return status


if __name__ == "__main__":
    sys.exit(main())
