"""A joint is turned by the angle that a person says, whatever gear lies between it and its servo."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from hardware.calibrate import calibrate
from hardware.joints import JointMap
from robotps.description import load_description

DKITTY = load_description("dkitty")
GEARED = DKITTY.model_copy(update={"wiring": DKITTY.wiring.model_copy(update={"gear": 2.0})})
JOINT, SERVO = "front_left_abduction", 20


class Patient:
    """Says that the joint turned as it should, and has ten degrees to go to its zero."""

    def __init__(self, fake: Any) -> None:
        self.fake = fake
        self.at: list[int] = []

    def ask(self, what: str, message: str, **details: Any) -> dict[str, Any]:
        if details.get("about") == "direction":
            return {"text": "y"}
        if details.get("about") != "zero":
            return {}
        self.at.append(struct.unpack_from("<i", self.fake.memory[SERVO], 132)[0])
        return {"text": "10" if len(self.at) == 1 else ""}

    def presses(self, since: float) -> list[float]:
        return []

    def tell(self, message: str) -> None: ...


def test_a_geared_joint_turns_by_the_joints_degrees_and_keeps_its_limits(
    device: Any, dkitty: Any, tmp_path: Path
) -> None:
    person = Patient(dkitty)
    found = calibrate(GEARED, device.name, tmp_path / "c.toml", person, joint=JOINT, pace="device", tell=lambda _: None)
    assert abs(person.at[1] - person.at[0]) == round(2 * 10 / 360 * 4096)
    limits = JointMap(GEARED, 4096, (-99999, 99999), found)
    assert found.joints[JOINT].range_min == limits.lower_steps[0]
    assert found.joints[JOINT].range_max == limits.upper_steps[0]
