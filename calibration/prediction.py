"""How well a simulated world predicts along the real trajectory: n steps ahead, and the simulation lemma's two sides.

The simulation is set to a state that was logged, and follows the commands that were sent from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibration.gap_measures import (
    discounted,
    gaussian_distance,
    n_step_errors,
    value_gap_bound,
    value_gap_by_disagreement,
)
from calibration.moments import States
from robotps.agreement import tilt
from robotps.description import RobotDescription
from robotps.odometer import heading
from robotps.parameters import FloatArray
from robotps.robot import Observation
from sim.shooting import ShootingRobot
from sim.world import World

STEPS = 10
"""Control periods ahead that are predicted."""
SHOTS = 30
"""Moments of each trial that are predicted from."""
GAMMA = 0.95
"""Discount of a control period in the lemma: it looks about twenty of them ahead."""
HORIZON = 60
"""Control periods after which a discounted reward is nearly nothing."""
FASTEST = 2.0
"""m/s; forward speeds from minus to plus this much are rewards from 0 to 1."""

RESOLVED = {"joints": 0.0015, "path": 0.001, "height": 0.001, "tilt": 0.01, "heading": 0.01}
"""Standard deviation, rad and m, within which sensors do not tell two states apart: servos' steps, motion capture."""


@dataclass(frozen=True)
class Prediction:
    """Root mean square errors of what is predicted 1 to STEPS control periods ahead, over all shots.

    joints: (STEPS, n_joints), rad. quantities: by name, (STEPS,): joints rad, path (horizontal) m, height m, tilt rad,
    heading rad. shares: the same divided by how much the quantity itself changed meanwhile, which is the error of
    predicting that nothing moves.
    """

    joints: FloatArray
    quantities: dict[str, FloatArray]
    shares: dict[str, FloatArray]
    shots: int

    @property
    def one_step_error(self) -> float:
        """Of a joint angle one control period ahead, rad."""
        return float(self.quantities["joints"][0])


@dataclass(frozen=True)
class Lemma:
    """The simulation lemma along real trajectories, means over windows.

    value_gap: W - V, discounted rewards that simulation and reality give from the same logged state on, rewards being
    forward speed, 0 to 1 for -FASTEST to FASTEST. by_disagreement: what the values one simulated and one real step
    after every real state add up to: the same number by another way. bound: what the states' distances allow at most.
    held: windows in which it was no less than |W - V|, of `windows`. speed_gap: the value gap as a difference of mean
    forward speed, m/s.
    """

    value_gap: float
    by_disagreement: float
    bound: float
    speed_gap: float
    held: int
    windows: int


@dataclass(frozen=True)
class Path:
    """Some states as quantities that can be compared: joints (T, n), path (T, 2), height, heading (T,), tilt (T, 2)."""

    joints: FloatArray
    path: FloatArray
    height: FloatArray
    tilt: FloatArray
    heading: FloatArray

    @classmethod
    def of(cls, joints: FloatArray, base: FloatArray, orientation: FloatArray) -> Path:
        return cls(joints, base[:, :2], base[:, 2:], tilt(orientation), heading(orientation)[:, None])

    def less(self, other: Path) -> dict[str, FloatArray]:
        """Differences, (T, d) by name; turns the shorter way round."""
        result = {name: getattr(self, name) - getattr(other, name) for name in RESOLVED}
        for name in ("tilt", "heading"):
            result[name] = (result[name] + np.pi) % (2 * np.pi) - np.pi
        return result


def predict(
    description: RobotDescription, world: World, trials: Sequence[States], *, shots: int = SHOTS, steps: int = STEPS
) -> Prediction:
    """Prediction errors of a world along the trajectories of trials; raises ValueError where they are too short."""
    missed: dict[str, list[FloatArray]] = {name: [] for name in RESOLVED}
    moved: dict[str, list[FloatArray]] = {name: [] for name in RESOLVED}
    with ShootingRobot(description, world) as robot:
        for states in trials:
            robot.stand(states.position[0])
            for tick in _starts(len(states.time), steps, shots):
                observed = robot.shoot(states.moment(tick), states.sent[tick + 1 : tick + 1 + steps])
                real = _real(states, slice(tick + 1, tick + 1 + steps))
                before = _real(states, slice(tick, tick + 1))
                for name, difference in _simulated(observed).less(real).items():
                    missed[name].append(difference)
                for name, difference in real.less(before).items():
                    moved[name].append(difference)
    if not missed["joints"]:
        raise ValueError(f"a trial must be longer than {steps} control periods to be predicted")
    errors = {name: n_step_errors(np.stack(parts), np.zeros(1)) for name, parts in missed.items()}
    changes = {name: np.sqrt((np.stack(parts) ** 2).mean(axis=(0, 2))) for name, parts in moved.items()}
    quantities = {name: np.sqrt((error**2).mean(axis=1)) for name, error in errors.items()}
    shares = {name: quantities[name] / np.maximum(changes[name], RESOLVED[name]) for name in quantities}
    return Prediction(errors["joints"], quantities, shares, len(missed["joints"]))


def simulation_lemma(
    description: RobotDescription,
    world: World,
    trials: Sequence[States],
    *,
    windows: int = 2,
    gamma: float = GAMMA,
    horizon: int = HORIZON,
) -> Lemma | None:
    """The lemma's two sides over some windows of every trial; None where no trial is long enough for one."""
    sides = []
    with ShootingRobot(description, world) as robot:
        for states in trials:
            robot.stand(states.position[0])
            for start in _starts(len(states.time), horizon, windows):
                sides.append(_window(robot, states, start, gamma, horizon))
    if not sides:
        return None
    table = np.array(sides)
    direct, other, bound = table.mean(axis=0)
    weight = discounted(np.ones(horizon + 1), gamma)
    return Lemma(
        value_gap=float(direct),
        by_disagreement=float(other),
        bound=float(bound),
        speed_gap=float(direct) / weight * 2 * FASTEST,
        held=int((table[:, 2] >= np.abs(table[:, 0]) - 1e-12).sum()),
        windows=len(sides),
    )


def _window(robot: ShootingRobot, states: States, start: int, gamma: float, horizon: int) -> tuple[float, float, float]:
    """W - V directly, by one-step disagreement, and the bound, with values that look up to the window's end.

    One simulated roll-out from each real state s_h gives W there, and W one simulated step later.
    """
    end = start + horizon
    ahead = heading(states.orientation[start : start + 1])[0]
    real = _rewards(states.base_velocity[start : end + 1], ahead)
    at_state, after_step, distances = [], [], []
    for tick in range(start, end):
        observed = robot.shoot(states.moment(tick), states.sent[tick + 1 : end + 1])
        simulated = _rewards(np.array([o.base_velocity for o in observed]), ahead)
        later = discounted(simulated, gamma)
        at_state.append(real[tick - start] + gamma * later)
        after_step.append(later)
        distances.append(_distance(observed[0], states, tick + 1))
    at_state.append(float(real[-1]))
    direct = at_state[0] - discounted(real, gamma)
    other = value_gap_by_disagreement(np.array(after_step), np.array(at_state[1:]), gamma)
    return direct, other, value_gap_bound(np.array(distances), gamma)


def _distance(observed: Observation, states: States, tick: int) -> float:
    """L1 distance of the states one step on, as far as sensors tell them apart."""
    differences = _simulated([observed]).less(_real(states, slice(tick, tick + 1)))
    spread = [np.full(part.shape[1], RESOLVED[name]) for name, part in differences.items()]
    return float(gaussian_distance(np.column_stack(list(differences.values())), np.concatenate(spread))[0])


def _rewards(velocity: FloatArray, ahead: float) -> FloatArray:
    forward = velocity[:, 0] * np.cos(ahead) + velocity[:, 1] * np.sin(ahead)
    rewards: FloatArray = np.clip(0.5 + forward / (2 * FASTEST), 0.0, 1.0)
    return rewards


def _simulated(observed: Sequence[Observation]) -> Path:
    return Path.of(
        np.array([o.position for o in observed]),
        np.array([o.base_position for o in observed]),
        np.array([o.orientation for o in observed]),
    )


def _real(states: States, ticks: slice) -> Path:
    return Path.of(states.position[ticks], states.base_position[ticks], states.orientation[ticks])


def _starts(length: int, steps: int, count: int) -> list[int]:
    """Ticks to begin at, spread over a motion of so many ticks, each with `steps` more to follow."""
    last = length - 1 - steps
    return [] if last < 1 else sorted({int(tick) for tick in np.linspace(1, last, count)})
