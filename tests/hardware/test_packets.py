"""Registers: every value that fits survives, and agrees with the vendors' readings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware.dynamixel import TABLE as DYNAMIXEL
from hardware.feetech import TABLE as FEETECH
from hardware.packets import Register


@given(st.integers(-(2**31), 2**31 - 1))
def test_twos_complement_survives(value: int) -> None:
    register = DYNAMIXEL["present_position"]
    assert register.decode(register.encode(value)) == value


@given(st.integers(-2047, 2047))
def test_sign_and_magnitude_survives(value: int) -> None:
    register = FEETECH["homing_offset"]
    assert register.decode(register.encode(value)) == value


def test_sign_and_magnitude_is_not_twos_complement() -> None:
    assert FEETECH["present_velocity"].decode(bytes([5, 0x80])) == -5
    assert FEETECH["homing_offset"].encode(-3) == bytes([3, 0x08])


@pytest.mark.parametrize(("name", "value"), [("torque_enable", 256), ("homing_offset", 2048), ("goal_position", 40000)])
def test_a_value_that_does_not_fit_is_an_error(name: str, value: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        FEETECH[name].encode(value)


def test_the_dynamixel_table_is_the_vendors() -> None:
    from importlib.resources import files

    text = (files("dynamixel_easy_sdk") / "control_table" / "xm430_w210.model").read_text()
    rows = [line.split("\t") for line in text.partition("[control table]")[2].splitlines()[2:] if line]
    vendor = {name.lower(): Register(int(address), int(size)) for address, size, name in rows}
    aliases = {
        "firmware": "firmware version",
        "return_delay": "return delay time",
        "hardware_error": "hardware error status",
        "present_voltage": "present input voltage",
    }
    for name, register in DYNAMIXEL.items():
        theirs = vendor[aliases.get(name, name.replace("_", " "))]
        assert (register.address, register.size) == (theirs.address, theirs.size), name
