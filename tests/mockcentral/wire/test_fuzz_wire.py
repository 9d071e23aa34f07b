"""The optional fuzzing tool: its targets run, and take what the tests of the wire made up."""

from __future__ import annotations

import random

import pytest

from tests.mockcentral.floods import FLOODS, HELLO
from tools.fuzz_wire import TARGETS, one_input

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("target", range(len(TARGETS)), ids=[target.__name__ for target in TARGETS])
def test_a_target_takes_good_and_bad_input(target: int) -> None:
    rng = random.Random(target)
    said = [HELLO[24:], GET, *(next(FLOODS[name]())[:500] for name in FLOODS)]
    for one in said:
        one_input(bytes([target]) + one)
        broken = bytearray(one)
        broken[rng.randrange(len(broken))] ^= 1 << rng.randrange(8)
        one_input(bytes([target]) + broken)
