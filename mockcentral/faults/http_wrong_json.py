"""An HTTP answer says 200 and is not what was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from mockcentral._core.actions import Action, AnswerHttp
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpWrongJson(Fault):
    """Answer 200 with a body in another shape: `half` a text, an `html` page, an `object` where a list belongs, `null`,
    nothing (`empty`), or every number as a text (`strings`).

    The client should feel an answer it cannot use, not take it for an empty page or a token, and ask again.

    It stands for the login page of a captive portal, for an API version that changed its types, and, empty, for a
    server that should have said 410 (kubernetes/kubernetes#104171).
    """

    name: ClassVar[str] = "http_wrong_json"
    level: ClassVar[str] = "http"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"harvest", "http", "page", "token"})
    shorthand: ClassVar[str | None] = "shape"
    answers: ClassVar[bool] = True

    shape: Literal["half", "html", "object", "null", "empty", "strings"] = doc("what the body is instead", "html")

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerHttp(shape=self.shape),)
