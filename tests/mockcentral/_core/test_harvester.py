"""The history service's words, and its pages against a naive reading of protocol section 3."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral._core import harvester
from mockcentral._core.central import Page
from mockcentral._core.events import Op, Reference, Scope
from mockcentral._core.harvester import EVERYTHING, Query, event_json, event_text, parse
from mockcentral._core.log import Gone
from mockcentral.scenario.schema import HarvesterSettings, LogSettings
from mockcentral.scenario.types import CountSpan
from tests.mockcentral._core.rig import NONE, TOPIC, Rig, change, entry


# ------------------------------------------------------------------------------------------ what can be asked
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, Query(page_size=EVERYTHING)),  # "no parameters at all = all events" (protocol 3.1)
        # what the Go client sends (protocol 3.1)
        (
            {"page": "2", "pageSize": "50", "query": "sequenceID>284734", "sort": "sequenceID,ASC"},
            Query(after=284734, page=2, page_size=50, asked_after=284734),
        ),
        ({"pageSize": "1", "sort": "sequenceID,DESC"}, Query(page_size=1, newest_first=True)),
        # what the public documentation shows (protocol 3.4)
        ({"sort": "sequenceID"}, Query()),
        ({"query": "sequence>=5"}, Query(after=4, asked_after=4)),
        # the rest of the comparisons
        ({"query": "sequenceID=gt=5"}, Query(after=5, asked_after=5)),
        ({"query": "sequenceID=ge=5"}, Query(after=4, asked_after=4)),
        ({"query": "sequenceID==5"}, Query(after=4, before=6, asked_after=4)),
        ({"query": "sequenceID<5"}, Query(before=5)),
        ({"query": "sequenceID=le=5"}, Query(before=6)),
        ({"query": " sequenceID > 5 ; sequenceID <= 9 "}, Query(after=5, before=10, asked_after=5)),
        ({"query": "sequenceID>5;sequenceID>7"}, Query(after=7, asked_after=7)),
        ({"query": "sequenceID>-3"}, Query(after=0, asked_after=-3)),
        ({"query": "", "sort": "", "page": "", "pageSize": ""}, Query()),
        ({"pageSize": "5000"}, Query(page_size=100)),  # capped, not refused
        ({"sort": "sequenceID, desc"}, Query(newest_first=True)),
        ({"fields": "id", "embed": "x"}, Query()),  # what is not known here is not ours to refuse
    ],
)
def test_what_a_request_says(parameters: dict[str, str], expected: Query) -> None:
    assert parse(parameters, 100) == expected


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"page": "0"}, "page is '0'"),
        ({"page": "-1"}, "page is '-1'"),
        ({"page": "1e3"}, "page is '1e3'"),
        ({"pageSize": "0"}, "pageSize is '0'"),
        ({"pageSize": "x" * 1000}, "pageSize is 'x{40}'"),
        ({"pageSize": "9" * 30}, "pageSize"),
        ({"query": "sequenceID>x"}, "sequenceID>x"),
        ({"query": "name==petstore"}, "only comparisons"),
        ({"query": "sequenceID>1;"}, "only comparisons"),
        ({"query": "sequenceID>" + "9" * 25}, "only comparisons"),
        ({"query": "sequenceID"}, "only comparisons"),
        ({"sort": "name,ASC"}, "only sequenceID,ASC"),
        ({"sort": "sequenceID,UP"}, "only sequenceID,ASC"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_name(parameters: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(parameters, 100)


words = st.text("sequncID<>=;-, 0123456789AS\u0663\n", max_size=30)


@given(st.dictionaries(st.sampled_from(["page", "pageSize", "query", "sort"]), words))
@settings(deadline=None)
def test_whatever_is_asked_is_understood_or_refused(parameters: dict[str, str]) -> None:
    try:
        query = parse(parameters, 100)
    except ValueError:
        return
    assert query.page >= 1
    assert 1 <= query.page_size <= (100 if parameters else EVERYTHING)


# ------------------------------------------------------------------------------------------ how an event reads
def test_an_event_reads_as_protocol_3_2_says() -> None:
    about = replace(
        change("petstore", op=Op.SUBRESOURCEUPDATED),
        scope=Scope("Environment", "e", "env-id", "/management/v1/environments/e"),
        subresource="status",
        resource_id="res-id",
        self_link="/management/v1/environments/e/apiservices/petstore",
        attributes={"a": "b"},
        references=(
            Reference("ref-id", "Revision", "r", "Environment", "e", "/ref", "SOFT"),
            Reference(id="bare"),
        ),
    )
    shown = json.loads(event_text(entry(284747, about)))
    assert shown == {
        "id": "id-284747",
        "time": "2024-10-28 15:43:02.689148",
        "version": "v1",
        "product": "AmplifyCentral",
        "correlationId": "id-284747",
        "organization": {"id": "1234567890"},
        "type": "SubResourceUpdated",
        "payload": {
            "group": "management",
            "kind": "APIService",
            "name": "petstore",
            "metadata": {
                "id": "res-id",
                "selfLink": "/management/v1/environments/e/apiservices/petstore",
                "scope": {
                    "id": "env-id",
                    "kind": "Environment",
                    "name": "e",
                    "selfLink": "/management/v1/environments/e",
                },
                "references": [
                    {
                        "id": "ref-id",
                        "kind": "Revision",
                        "name": "r",
                        "scopeKind": "Environment",
                        "scopeName": "e",
                        "selfLink": "/ref",
                        "type": "SOFT",
                    },
                    {
                        "id": "bare",
                        "kind": "",
                        "name": "",
                        "scopeKind": None,
                        "scopeName": None,
                        "selfLink": "",
                        "type": "HARD",
                    },
                ],
            },
            "attributes": {"a": "b"},
            "finalizers": None,
            "tags": [],
        },
        "metadata": {
            "watchTopicID": "topic-id",
            "watchTopicSelfLink": TOPIC,
            "sequenceID": 284747,
            "subresource": "status",
        },
    }
    assert type(shown["metadata"]["sequenceID"]) is int  # a string fails the whole page in Go


def test_types_read_as_go_maps_them_back() -> None:
    """Protocol 3.2: strip a leading "Resource", upper-case, look up."""
    for op, name in harvester.TYPE_NAMES.items():
        assert name.removeprefix("Resource").upper() == op.name
        assert event_json(entry(1, change(op=op)))["type"] == name


def test_an_event_without_subresource_says_null_and_without_scope_has_an_empty_one() -> None:
    shown = event_json(entry(1, change(env=None)))
    assert shown["metadata"]["subresource"] is None
    # Go handlers follow metadata.scope without looking (protocol 1.7).
    assert shown["payload"]["metadata"]["scope"] == {"id": "", "kind": "", "name": "", "selfLink": ""}


def test_an_event_is_turned_into_text_once() -> None:
    item = entry(1)
    assert event_text(item) is event_text(item)


# ------------------------------------------------------------------------------------------ pages
SIZE = 4


def history(count: int, **more: int) -> Rig:
    rig = Rig(harvester=HarvesterSettings(page_size=SIZE), log=LogSettings(first_sequence=100, **more))  # type: ignore[arg-type]
    for number in range(count):
        rig.publish(f"s{number}")
    return rig


def page(rig: Rig, **parameters: object) -> list[int]:
    answer = rig.central.harvest(TOPIC, {name: str(value) for name, value in parameters.items()}, rig.now)
    assert isinstance(answer, Page)
    return answer.sequences


def walk(rig: Rig, after: int, size: int) -> list[list[int]]:
    """The pages a Go client reads: until one is short (protocol 2.3)."""
    pages: list[list[int]] = []
    while not pages or len(pages[-1]) == size:
        pages.append(page(rig, query=f"sequenceID>{after}", page=len(pages) + 1, pageSize=size, sort="sequenceID,ASC"))
    return pages


@pytest.mark.parametrize("count", [0, 1, SIZE - 1, SIZE, SIZE + 1, 2 * SIZE - 1, 2 * SIZE, 2 * SIZE + 1])
def test_pages_around_the_page_size_hold_every_event_once_and_end_with_a_short_one(count: int) -> None:
    pages = walk(history(count), 50, SIZE)
    assert [sequence for page in pages for sequence in page] == list(range(100, 100 + count))
    assert len(pages) == count // SIZE + 1
    assert len(pages[-1]) < SIZE


@given(
    count=st.integers(0, 40),
    purged=st.integers(0, 45),
    asked=st.none() | st.integers(-1, 150),
    below=st.none() | st.integers(95, 150),
    number=st.integers(1, 12),
    size=st.integers(1, 9),
    newest_first=st.booleans(),
    step=st.integers(1, 3),
)
@settings(deadline=None, max_examples=150)
def test_a_page_is_the_slice_a_naive_reading_gives(
    count: int,
    purged: int,
    asked: int | None,
    below: int | None,
    number: int,
    size: int,
    newest_first: bool,
    step: int,
) -> None:
    rig = Rig(harvester=HarvesterSettings(page_size=6), log=LogSettings(first_sequence=100, step=CountSpan(step, step)))
    events = [rig.publish(f"s{n}") for n in range(count)]
    kept = events[purged:]
    if purged and events:
        rig.central.purge(0.0, keep=len(kept))
    gone = max(events[:purged], default=0)
    conditions = [f"sequenceID>{asked}"] if asked is not None else []
    conditions += [f"sequenceID<{below}"] if below is not None else []
    answer = rig.central.harvest(
        TOPIC,
        {
            "query": ";".join(conditions),
            "page": str(number),
            "pageSize": str(size),
            "sort": "sequenceID,DESC" if newest_first else "sequenceID,ASC",
        },
        0.0,
    )
    if asked is not None and max(asked, 0) < gone:
        assert answer == Gone(events[-1])
        return
    wanted = [s for s in kept if (asked is None or s > asked) and (below is None or s < below)]
    wanted = wanted[::-1] if newest_first else wanted
    size = min(size, 6)
    assert isinstance(answer, Page)
    assert answer.sequences == wanted[(number - 1) * size : number * size]


def test_sequence_zero_and_descending_give_the_newest_event() -> None:
    rig = history(9)
    assert page(rig, pageSize=1, sort="sequenceID,DESC") == [108]
    assert page(rig, pageSize=3, sort="sequenceID,DESC", page=2) == [105, 104, 103]


def test_no_parameters_give_everything_oldest_first() -> None:
    assert page(history(9)) == list(range(100, 109))  # more than a page
    assert page(history(9), sort="sequenceID") == [100, 101, 102, 103]


def test_history_that_is_gone_says_the_newest_sequence_only_to_who_asked_from_before() -> None:
    rig = history(6)
    rig.central.purge(0.0, through=102)
    assert rig.central.harvest(TOPIC, {"query": "sequenceID>101"}, 0.0) == Gone(105)
    assert page(rig, query="sequenceID>102") == [103, 104, 105]
    assert page(rig) == [103, 104, 105]  # no lower bound: what there is
    assert page(rig, pageSize=1, sort="sequenceID,DESC") == [105]


def test_age_alone_purges_history_when_it_is_asked_for() -> None:
    rig = Rig(log=LogSettings(first_sequence=100, keep_for=10.0))  # type: ignore[arg-type]
    rig.publish("old")
    rig.at(8.0)
    rig.publish("young")
    rig.at(11.0)
    assert rig.central.harvest(TOPIC, {"query": "sequenceID>99"}, rig.now) == Gone(101)
    assert page(rig, query="sequenceID>100") == [101]


def test_a_topic_has_only_its_own_events_and_an_unknown_one_none_at_all() -> None:
    rig = history(3)
    answer = rig.central.harvest(f"/management/v1alpha1/watchtopics/{NONE.name}", {}, 0.0)
    assert isinstance(answer, Page)
    assert answer.sequences == []
    assert rig.central.harvest("/management/v1/watchtopics/nobody", {}, 0.0) is None


def test_a_full_log_forgets_the_oldest_events_of_every_topic() -> None:
    rig = history(10, keep=4)
    assert page(rig) == [106, 107, 108, 109]
    assert rig.central.harvest(TOPIC, {"query": "sequenceID>104"}, 0.0) == Gone(109)
