# docs/examples/test_my_handler.py
import sqlite3

from hypothesis import settings

from mockcentral.sim.machine import watch_machine
from watchmanager import Event, EventType, Gap

KEEP_NEWEST = """
insert into services values (:name, :sequence, :there)
on conflict (name) do update set sequence = :sequence, there = :there where :sequence > sequence
"""


def make_handler(disk):
    """One life of the process. What is on the disk outlives it; at the beginning of a run the disk is empty."""
    if "db" not in disk:
        disk["db"] = sqlite3.connect(":memory:", isolation_level=None)
        disk["db"].execute("create table services (name text primary key, sequence integer, there integer)")
    db = disk["db"]

    def handler(item):
        match item:
            case Event():
                there = item.type is not EventType.DELETED
                db.execute(KEEP_NEWEST, {"name": item.name, "sequence": item.sequence, "there": there})
            case Gap():
                pass  # here a real agent reads the resources again: nobody can tell what it has missed

    return handler


def check(stage):
    """The end of a run: all is well again, and the handler was given every event."""
    expected = {event.name: event.type is not EventType.DELETED for event in stage.events}
    if "db" not in stage.disk:
        assert expected == {}
        return
    with stage.disk["db"] as db:
        rows = db.execute("select name, there from services").fetchall()
    stage.disk["db"].close()
    assert {name: bool(there) for name, there in rows} == expected


TestMyHandler = watch_machine(make_handler, check=check, name="my-handler").TestCase
TestMyHandler.settings = settings(max_examples=30, stateful_step_count=12, deadline=None)
