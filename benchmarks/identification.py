"""How well `robotps identify --excite` finds out what a robot is like: virtual robots of made-up realities.

Draws realities (seeded, in a temporary folder), starts a virtual robot for each, identifies it and runs other gaits,
through the command line alone. The reality is read only to score. One JSON line a reality goes to --out, so that a
benchmark that was cut short goes on: by default those in benchmarks/outcomes/identification, which are kept with the
source and hold what docs/reality-gap.md shows. The table is of all of them.

    python benchmarks/identification.py --robot dkitty --realities 10
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

from robotps.description import RobotDescription, describe, load_description
from robotps.gait import Gait, UnreachableGait, gait_cycle, initial_gait, save_gait
from robotps.legs import LEGS
from robotps.trial import TrialSettings, run_trial
from sim.robot import SimulatedRobot
from sim.world import World, load_world

CLI = (sys.executable, "-m", "robotps.cli.app")
GAITS = 3
SECONDS = 3.0
SPREAD = 1.5
"""Steps of each gait parameter by which they differ from the description's start, standard deviation."""
SPEED_FLOOR = 1e-4

Table = dict[str, Any]


def robot_of(kind: str) -> RobotDescription:
    """D'Kitty; the same with Feetech STS3215 servos at 7.4 V; the ERS-210's body, its servos Dynamixel's protocol."""
    kitty = load_description("dkitty")
    assert kitty.wiring is not None
    if kind == "dkitty":
        return kitty
    if kind == "feetech":
        servo = {
            "model": "STS3215",
            "stall_torque": 1.9,
            "no_load_speed": 5.4,
            "voltage": 7.4,
            "derivative_time": 0.001,  # of its factory gains
        }
        return kitty.model_copy(
            update={
                "name": "feetech_kitty",
                "servo": kitty.servo.model_copy(update=servo),
                "wiring": kitty.wiring.model_copy(update={"protocol": "feetech"}),
            }
        )
    body = load_description("ers210")
    servo = body.servo.model_copy(update={"model": "XM430-W210", "voltage": 12.0})
    return body.model_copy(update={"name": "ers210_dynamixel", "servo": servo, "wiring": kitty.wiring})


def draw(description: RobotDescription, seed: int) -> Table:
    """A reality: another robot of the same kind, on another floor."""
    g = np.random.default_rng(seed)
    servo, size = description.servo, math.hypot(*description.body.size[:2])
    joints = {
        name: {"zero_offset_rad": float(g.uniform(-0.04, 0.04)), "strength_scale": float(g.uniform(0.96, 1.04))}
        for name in description.joint_names
    }
    return {
        "body": {
            "mass_scale": float(g.uniform(0.85, 1.2)),
            "com_offset_m": [float(g.uniform(-0.04, 0.04) * size), float(g.uniform(-0.02, 0.02) * size), 0.0],
        },
        "floor": {"friction": float(g.uniform(0.25, 1.0)), "slope_deg": float(g.uniform(-1.0, 1.0))},
        "servo": {
            "strength_scale": float(g.uniform(0.8, 1.2)),
            "speed_scale": float(g.uniform(0.85, 1.15)),
            "gain_scale": float(g.uniform(0.75, 1.25)),
            "coulomb_friction": float(servo.coulomb_friction * g.uniform(0.5, 2.0)),
            "viscous_friction": float(servo.viscous_friction * g.uniform(0.5, 2.5)),
            "armature": float(servo.armature * g.uniform(0.7, 1.5)),
            "backlash_rad": float(g.uniform(0.0, 0.006)),
            "latency_s": float(g.uniform(0.004, 0.025)),
        },
        "joints": joints,
        "battery": {"volts": float(servo.voltage * g.uniform(0.97, 1.08)), "resistance_ohm": float(g.uniform(0, 0.15))},
        "sensor": {"position_noise_rad": float(g.uniform(0, 0.0005)), "stream_noise_m": float(g.uniform(0, 0.0003))},
        "start": {"yaw_noise_rad": 0.02, "seed": seed},
    }


def truth(description: RobotDescription, reality: Table) -> dict[str, float]:
    """What a perfect identification would say, by the names that it uses."""
    own = np.array([reality["joints"][name]["strength_scale"] for name in description.joint_names])
    servo, body = reality["servo"], reality["body"]
    values = {f"servo.{name}": value for name, value in servo.items()}
    # what all joints have in common cannot be told from the servos' strength: joints are relative to their mean
    values["servo.strength_scale"] = servo["strength_scale"] * float(own.mean())
    for name, strength in zip(description.joint_names, own.tolist(), strict=True):
        values[f"joints.{name}.strength_scale"] = strength / float(own.mean())
        values[f"joints.{name}.zero_offset_rad"] = reality["joints"][name]["zero_offset_rad"]
    values["body.mass_scale"] = body["mass_scale"]
    values |= {f"body.com_offset_m.{axis}": body["com_offset_m"][axis] for axis in (0, 1)}
    values["floor.friction"] = reality["floor"]["friction"]
    values["floor.slope_ahead"] = math.radians(reality["floor"]["slope_deg"])
    values["floor.slope_left"] = 0.0
    values["battery.volts"] = reality["battery"]["volts"]
    values["battery.resistance_ohm"] = reality["battery"]["resistance_ohm"]
    return values


def true_world(reality: Table) -> World:
    """The simulation's world with a reality's own parameters: what is left of the gap then is the engines'."""
    slope = reality["floor"]["slope_deg"]
    uphill = {"slope_deg": abs(slope), "slope_heading_deg": 0.0 if slope >= 0 else 180.0}
    shared = {name: reality[name] for name in ("body", "servo", "joints", "battery")}
    return World.model_validate({**shared, "floor": {"friction": reality["floor"]["friction"], **uphill}})


def other_gaits(description: RobotDescription, seed: int) -> list[Gait]:
    """Gaits that no excitation has, around the description's start, at which the nominal simulation does not fall."""
    generator, found = np.random.default_rng((seed, 1)), []
    space = description.gait_space
    while len(found) < GAITS:
        vector = np.clip(generator.normal(0.0, SPREAD, len(space)), space.lower, space.upper)
        straight = {**space.values(vector), "locus_skew": 0.0}
        gait = Gait(initial_gait(description).family, straight)
        try:
            if gait_cycle(description, gait).unreachable > 0.35:
                continue
        except UnreachableGait:
            continue
        with SimulatedRobot(description) as robot:
            trial, _ = run_trial(robot, gait, TrialSettings(seconds=2.0))
        if trial.ending == "finished" and trial.speed > 0.03:
            found.append(gait)
    return found


def speed_in(description: RobotDescription, world: World, gait: Gait) -> float:
    """A gait's speed in a simulated world, m/s."""
    with SimulatedRobot(description, world) as robot:
        return run_trial(robot, gait, TrialSettings(seconds=SECONDS))[0].speed


def robotps(folder: Path, *arguments: str) -> Table:
    """A verb's answer; its messages go to stderr.log in the folder."""
    with (folder / "stderr.log").open("a") as log:
        done = subprocess.run([*CLI, *arguments, "--json"], cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"robotps {' '.join(arguments)}:\n{(folder / 'stderr.log').read_text()[-2000:]}")
    answer: Table = json.loads(done.stdout.strip().splitlines()[-1])
    return answer


def write_files(folder: Path, description: RobotDescription, reality: Table) -> None:
    """What `virtual_robot` reads."""
    (folder / "robot.toml").write_text(tomli_w.dumps(_plain(describe(description))))
    (folder / "reality.toml").write_text(tomli_w.dumps(reality))


@contextmanager
def virtual_robot(folder: Path, seed: int) -> Iterator[Table]:
    """A virtual robot of the folder's reality; its addresses."""
    command = [*CLI, "virtual", "--robot", "robot.toml", "--reality", "reality.toml", "--lockstep", "--json"]
    process = subprocess.Popen([*command, "--seed", str(seed)], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.terminate()
        process.wait(30)


def one(description: RobotDescription, seed: int, workers: int) -> Table:
    """Identify one reality; what was found, what is true, and how well other gaits' speeds are predicted."""
    reality = draw(description, seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, description, reality)
        gaits = other_gaits(description, seed)
        for i, gait in enumerate(gaits):
            save_gait(folder / f"gait{i}.toml", gait, description)
        with virtual_robot(folder, seed) as at:
            on = ["--robot", "robot.toml", "--on", f"serial:{at['port']}", "--pace", "device"]
            on += ["--odometer", f"stream:{at['position_stream']}", "--assistant", at["assistant"]]
            found = robotps(folder, "identify", "--excite", *on, "--workers", str(workers), "--out", "world.toml")
            walked = [
                robotps(folder, "trial", *on, "--gait", f"gait{i}.toml", "--seconds", str(SECONDS))
                for i in range(GAITS)
            ]
        worlds = {"before": World(), "after": load_world(folder / "world.toml"), "true": true_world(reality)}
        speeds = {name: [speed_in(description, world, gait) for gait in gaits] for name, world in worlds.items()}
    return {
        "robot": description.name,
        "seed": seed,
        "parameters": found["parameters"],
        "truth": truth(description, reality),
        "residual": [found["residual_before"], found["residual_after"]],
        "accepted": found["accepted"],
        "speeds": {"real": [each["speed"] for each in walked], **speeds},
        "outcomes": [each["outcome"] for each in walked],
    }


def _plain(value: Any) -> Any:
    """Tables without nulls, of which TOML has none."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def is_relative(kind: str) -> bool:
    """Whether errors of this parameter are told in parts of the true value, not in its unit."""
    return "scale" in kind or kind in ("floor.friction", "battery.volts")


def show(rows: list[Table]) -> None:
    """One figure a line."""
    claimed = covered = 0
    missed: dict[str, int] = {}
    errors: dict[str, list[float]] = {}
    for row in rows:
        for name, parameter in row["parameters"].items():
            if not parameter["informative"] or parameter["at_bound"]:
                continue
            true, (low, high) = row["truth"][name], parameter["interval"]
            kind = ".".join((name.split(".")[0], name.split(".")[-1])) if name.startswith("joints") else name
            claimed += 1
            covered += low <= true <= high
            if not low <= true <= high:
                missed[kind] = missed.get(kind, 0) + 1
            off = parameter["value"] / true - 1 if is_relative(kind) else parameter["value"] - true
            errors.setdefault(kind, []).append(off)
    print(f"realities            {len(rows)} of {rows[0]['robot']}, {sum(row['accepted'] for row in rows)} accepted")
    print(f"coverage             {covered / claimed:.3f} of {claimed} claimed parameters lie in their 95 % interval")
    for kind, values in sorted(errors.items()):
        size = np.abs(values)
        unit = "relative" if is_relative(kind) else "absolute"
        found = f"claimed {len(values):4d}, missed {missed.get(kind, 0):3d}"
        print(f"{kind:28s} {found}, error median {np.median(size):.4f}, worst {size.max():.4f} ({unit})")
    before, after, true = (
        [
            np.subtract(row["speeds"][when], row["speeds"]["real"])[[end == "finished" for end in row["outcomes"]]]
            for row in rows
        ]
        for when in ("before", "after", "true")
    )
    rms, middle = {}, {}
    for when, off in (("before", before), ("after", after), ("true", true)):
        size = np.abs(np.concatenate(off))
        rms[when], middle[when] = float(np.sqrt((size**2).mean())), float(np.median(size))
    each = [
        float(np.sqrt((one**2).mean()) / max(np.sqrt((other**2).mean()), SPEED_FLOOR))
        for one, other in zip(before, after, strict=True)
        if len(one)
    ]
    for name, off in (("rms", rms), ("median", middle)):
        less = ", ".join(
            f"{off[when]:.4f} {when} ({off['before'] / off[when]:.1f} times less)" for when in ("after", "true")
        )
        print(f"speed error, m/s     {name} {off['before']:.4f} before, {less}")
    print(f"  a reality          median {np.median(each):.1f} times less, worst {min(each):.1f}, best {max(each):.1f}")
    residual = np.array([row["residual"] for row in rows])
    print(
        f"residual held out    {np.median(residual[:, 0]):.2f} before, {np.median(residual[:, 1]):.2f} after (medians)"
    )


def main() -> None:
    """Run what --out does not hold yet, then print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--robot", choices=("dkitty", "feetech", "ers210"), default="dkitty")
    parser.add_argument("--realities", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the first reality")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    arguments = parser.parse_args()
    description = robot_of(arguments.robot)
    assert len(LEGS) * len(description.legs[LEGS[0]].joints) == description.n_joints
    out = arguments.out or Path(__file__).parent / "outcomes" / "identification" / f"{arguments.robot}.jsonl"
    out.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    seeds = range(arguments.seed, arguments.seed + arguments.realities)
    for seed in seeds:
        if not any(row["seed"] == seed for row in rows):
            rows.append(one(description, seed, arguments.workers))
            with out.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    show([row for row in rows if row["seed"] in seeds])


if __name__ == "__main__":
    main()
