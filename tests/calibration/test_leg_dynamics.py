"""A leg's inertia and load are those of another engine, MuJoCo, which shares no code with it."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from calibration.leg_dynamics import dynamics, leg_links
from hardware.virtual.body import Body
from hardware.virtual.reality import Reality
from robotps.description import load_description
from sim.body import body_of

BARE = Reality.model_validate({"servo": {"armature": 0.0, "backlash_rad": 0.0}})


@pytest.mark.parametrize("name", ["dkitty", "ers210", "bittle"])
@pytest.mark.parametrize("leg", ["front_left", "rear_right"])
@pytest.mark.parametrize("slope_deg", [0.0, 2.0])
def test_inertia_weight_and_what_speed_adds_are_mujocos(name: str, leg: str, slope_deg: float) -> None:
    description = load_description(name)
    joints = [f"{leg}_{joint.name}" for joint in description.legs[leg].joints]  # type: ignore[index]
    n, start = len(joints), description.joint_names.index(joints[0])
    q, v = np.linspace(0.3, 0.7, n), np.linspace(4.0, -6.0, n)
    floor = BARE.floor.model_copy(update={"slope_deg": slope_deg})
    body = Body(description, BARE.model_copy(update={"floor": floor}), 0.001, np.random.SeedSequence(0))
    body.put_on_stand()
    body.angle[:] = 0.0
    body.angle[start : start + n] = q
    body.speed[:] = 0.0
    body.speed[start : start + n] = v
    mujoco.mj_forward(body.model, body.data)
    inertia = np.zeros((body.model.nv, body.model.nv))
    for row, unit in zip(inertia, np.eye(body.model.nv), strict=True):
        mujoco.mj_mulM(body.model, body.data, row, unit)
    own = slice(6 + start, 6 + start + n)
    here = dynamics(leg_links(body_of(description), joints), q[None, :], v[None, :])
    # a trunk on a floor that rises ahead leans back
    lean = -np.radians(slope_deg)
    load = here.load_of_mass[0] + here.load_of_spin[0] + lean * here.load_of_tilt[0, :, 0]
    assert here.inertia_of_mass[0] + here.inertia_of_spin[0] == pytest.approx(inertia[own, own], rel=1e-6, abs=1e-10)
    assert load == pytest.approx(body.data.qfrc_bias[own], rel=1e-3, abs=1e-4)
