"""What is wrong with a file, said to the person who wrote it: file, line, the wrong word and the nearest right one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from mockcentral._core.frozen import strict_dataclass


@strict_dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `line` and `column` count from 1; 0 when the text came from no file."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        if not self.file:
            return self.message
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class ScenarioError(ValueError):
    """A scenario or topic cannot be read; `problems` has everything that is wrong with it, in the order of the file.

    Printed it is one line a problem: `file:line: message`.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.line, problem.column)))
        super().__init__("\n".join(map(str, self.problems)))

    @property
    def file(self) -> str:
        return self.problems[0].file

    @property
    def line(self) -> int:
        """The line of the first problem."""
        return self.problems[0].line

    @property
    def column(self) -> int:
        return self.problems[0].column

    @property
    def message(self) -> str:
        """The first problem without its place."""
        return self.problems[0].message


def shown(text: str, limit: int = 60) -> str:
    """A word of the user's as messages quote it: in backticks, on one line, never long."""
    flat = " ".join(text.split())
    flat = "".join(letter if letter.isprintable() else "?" for letter in flat)
    return f"`{flat[:limit]}…`" if len(flat) > limit else f"`{flat}`"


def nearest(word: str, known: Iterable[str]) -> str:
    """`: did you mean `x`?`, or else the list of what would have been right; to be put behind a message."""
    known = list(known)
    lower = {other.lower(): other for other in known}
    plain = word[:80].lower().replace("-", "_")
    close = difflib.get_close_matches(plain, [other.replace("-", "_") for other in lower], n=1, cutoff=0.6)
    if close:
        found = next(lower[other] for other in lower if other.replace("-", "_") == close[0])
        return f": did you mean `{found}`?"
    if len(known) > 24:
        return ""
    return f": write {one_of(known)}" if known else ""


def one_of(words: Iterable[str]) -> str:
    """`a, b or c`."""
    words = list(words)
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
