"""The robot and its floor as a MuJoCo model: the description, altered by the reality, written as MJCF."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hardware.virtual.masses import link_masses
from hardware.virtual.reality import Reality
from robotps.description import Leg, RobotDescription
from robotps.legs import LEGS

STAND = 2.0
"""Height of the trunk on the stand in parts of the legs' length."""
ROUGH_CELL = 0.02
"""Distance between the heights of a rough floor, m."""
ROUGH_EXTENT = 4.0
"""A rough floor reaches this far from the start, m; beyond it is level."""


class Builder:
    """Writes the MJCF. What the reality leaves out is as described."""

    def __init__(self, description: RobotDescription, reality: Reality, tick: float) -> None:
        self.description = description
        self.reality = reality
        self.tick = tick
        self.masses = link_masses(description)
        servo, given = description.servo, reality.servo
        gear = description.wiring.gear if description.wiring else 1.0
        self.play = servo.backlash if given.backlash_rad is None else given.backlash_rad
        self.armature = gear**2 * (servo.armature if given.armature is None else given.armature)
        self.coulomb = gear * (servo.coulomb_friction if given.coulomb_friction is None else given.coulomb_friction)
        self.viscous = gear**2 * (servo.viscous_friction if given.viscous_friction is None else given.viscous_friction)

    def xml(self, scenery: str = "", on_trunk: str = "") -> str:
        """The model; scenery, on_trunk: what else stands on the floor, or sits on the trunk."""
        friction = self.reality.floor.friction
        rough = self.reality.floor.roughness_m
        touched = f'contype="1" conaffinity="2" friction="{friction!r} 0 0"'
        asset, bumps = "", ""
        if rough > 0:
            cells = int(2 * ROUGH_EXTENT / ROUGH_CELL)
            asset = (
                f'<asset><hfield name="bumps" nrow="{cells}" ncol="{cells}" '
                f'size="{ROUGH_EXTENT} {ROUGH_EXTENT} {rough} 0.1"/></asset>'
            )
            bumps = f'<geom name="bumps" type="hfield" hfield="bumps" {touched}/>'
        height = STAND * sum(_length(self.description.legs[leg]) for leg in LEGS) / len(LEGS)
        return f"""
<mujoco model="{self.description.name}">
  <compiler angle="radian" eulerseq="XYZ" autolimits="true" inertiafromgeom="false"/>
  <option timestep="{self.tick!r}" integrator="implicitfast" cone="elliptic" impratio="10">
    <flag island="disable"/>
  </option>
  <visual><global offwidth="1920" offheight="1080"/></visual>
  <default>
    <geom contype="2" conaffinity="3" condim="3" friction="0 0 0" solref="0.005 1"/>
    <joint solreflimit="0.004 1"/>
  </default>
  {asset}
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1" {touched}/>{bumps}{scenery}
    <body name="trunk" pos="0 0 {height!r}">
      <freejoint name="root"/>
      {self._inertial("trunk")}
      <geom name="trunk" type="box" size="{_text(self.trunk())}"/>{on_trunk}
      {"".join(self._leg(leg, self.description.legs[leg]) for leg in LEGS)}
    </body>
  </worldbody>
  <contact>{"".join(self._excluded())}</contact>
  <actuator>{"".join(self._loops())}</actuator>
  <equality><weld name="stand" body1="trunk" active="false"/></equality>
</mujoco>"""

    def trunk(self) -> Sequence[float]:
        """Half sides of the trunk's box; a URDF's trunk is taken to reach from hip to hip."""
        if self.description.urdf is None:
            return [side / 2 for side in self.description.body.size]
        hips = np.abs([self.description.legs[leg].joints[0].origin for leg in LEGS])
        x, y = np.maximum(hips.max(axis=0)[:2], 0.01).tolist()
        return [x, y, 0.02]

    def _leg(self, name: str, leg: Leg) -> str:
        opened = []
        for index, joint in enumerate(leg.joints):
            link = f"{name}_{joint.name}"
            last = index + 1 == len(leg.joints)
            end = leg.foot.position if last else leg.joints[index + 1].origin
            span = math.dist(end, (0, 0, 0))
            shape = f'type="capsule" fromto="0 0 0 {_text(end)}"' if span > 1e-6 else 'type="sphere"'
            axis = f'axis="{_text(joint.axis)}"'
            half = self.play / 2
            play = f'<joint {axis} range="{-half!r} {half!r}" damping="1e-4"/>' if self.play > 0 else ""
            opened.append(
                f'<body name="{link}" pos="{_text(joint.origin)}" euler="{_text(joint.rpy)}">'
                f'<joint name="{link}" {axis} range="{joint.lower!r} {joint.upper!r}" armature="{self.armature!r}" '
                f'frictionloss="{self.coulomb!r}" damping="{self.viscous!r}"/>{play}'
                f"{self._inertial(link)}"
                f'<geom name="{link}" {shape} size="{joint.radius!r}"/>'
            )
            if last and leg.foot.radius > joint.radius:  # else the link's own end is the foot
                opened.append(f'<geom name="{name}_foot" type="sphere" pos="{_text(end)}" size="{leg.foot.radius!r}"/>')
        return "".join(opened) + "</body>" * len(leg.joints)

    def _loops(self) -> Sequence[str]:
        """A position loop a joint, off until somebody sets its gain and limit."""
        return [
            f'<general joint="{joint}" gainprm="0" biastype="affine" forcelimited="true" forcerange="-1 1"/>'
            for joint in self.description.joint_names
        ]

    def _inertial(self, link: str) -> str:
        mass = self.masses[link]
        xx, yy, zz, xy, xz, yz = mass.inertia
        return (
            f'<inertial pos="{_text(mass.com)}" mass="{mass.mass!r}" fullinertia="{_text([xx, yy, zz, xy, xz, yz])}"/>'
        )

    def _excluded(self) -> Sequence[str]:
        """Links that overlap by construction: those of one leg, and the trunk with all but each leg's last."""
        pairs = []
        for name in LEGS:
            links = [f"{name}_{joint.name}" for joint in self.description.legs[name].joints]
            pairs += [(a, b) for i, a in enumerate(links) for b in links[i + 2 :]]
            pairs += [("trunk", link) for link in links[:-1]]
        return [f'<exclude body1="{a}" body2="{b}"/>' for a, b in pairs]


def _length(leg: Leg) -> float:
    points = [joint.origin for joint in leg.joints[1:]] + [leg.foot.position]
    return sum(math.dist(point, (0, 0, 0)) for point in points)


def _text(values: Sequence[float]) -> str:
    return " ".join(repr(float(value)) for value in values)
