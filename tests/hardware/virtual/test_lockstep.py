"""When time passes for servos that keep their own: after an answer, whatever arrives together."""

from __future__ import annotations

import struct

import pytest

from hardware.virtual.dynamixel import DynamixelBus
from hardware.virtual.dynamixel_packet import packet
from hardware.virtual.plant import Plant
from robotps.description import load_description

BAUD = 1_000_000
GOAL = packet(0xFE, b"\x83" + struct.pack("<HHBi", 116, 4, 10, 2100))
QUESTION = packet(10, b"\x02" + struct.pack("<HH", 120, 2))
"""For the realtime tick, ms."""
PING = packet(10, b"\x01")


def test_in_lockstep_servos_answer_as_they_are_when_a_goal_reaches_them_and_then_a_period_passes(
    dkitty: DynamixelBus,
) -> None:
    ticks = []
    for _ in range(3):
        (reply,) = dkitty.feed(GOAL + QUESTION, BAUD)
        ticks.append(struct.unpack_from("<H", reply.data, 9)[0])
        dkitty.settle()
        assert dkitty.time == pytest.approx(len(ticks) * 0.01)
    assert ticks == [0, 10, 20]


def test_in_lockstep_it_does_not_matter_what_arrives_together(dkitty: DynamixelBus) -> None:
    stream = GOAL + QUESTION + QUESTION + GOAL + GOAL + QUESTION + PING + QUESTION
    whole = [reply.data for reply in dkitty.feed(stream, BAUD)]
    dkitty.settle()
    other = DynamixelBus(Plant(load_description("dkitty")), lockstep=True)
    parts: list[bytes] = []
    for start in range(0, len(stream), 7):
        parts += [reply.data for reply in other.feed(stream[start : start + 7], BAUD)]
        other.settle()
    assert parts == whole
    assert other.time == dkitty.time == pytest.approx(0.03)
    ticks = [struct.unpack_from("<H", data, 9)[0] for data in whole if len(data) == 13]
    assert ticks == [0, 10, 20, 30]  # the second goal's period is over when the third comes
