"""Safety: what is sent is clipped, what is reported is judged, and nothing else reaches a servo."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hardware
from hardware.bus import Bus, Reading
from hardware.faults import HardwareFault
from hardware.joints import JointMap
from hardware.safety import POLL_EVERY, SILENT_CYCLES, Safety, SafetyLimits
from robotps.description import load_description

DKITTY = load_description("dkitty")
N = 12


class FakeBus(Bus):
    """Takes everything, remembers it, complains when told to."""

    senses = frozenset({"position"})
    steps_per_turn, step_limits, tick_period = 4096, (0, 4095), 32.768

    def __init__(self) -> None:
        joints = dict(zip(JointMap(DKITTY, 4096, (0, 4095)).ids, DKITTY.joint_names, strict=True))
        super().__init__(None, joints, "XM430-W210")  # type: ignore[arg-type]
        self.goals: list[np.ndarray] = []
        self.complaints: dict[int, str] = {}
        self.polled: list[int] = []
        self.released = 0

    def write(self, steps):
        self.goals.append(steps)

    def held(self):
        return np.full(N, 2048)

    def complaint(self, index, error=0):
        self.polled.append(index)
        return self.complaints.get(index, "")

    def release_all(self):
        self.released += 1

    def release(self):
        return {21: "no answer"}

    def _unused(self, *_):
        raise NotImplementedError

    identify = scan = differences = prepare = set_effort_limit = read = _unused  # type: ignore[assignment]

    def energise(self, speed):
        self.slow = speed

    def set_speed_limit(self, speed):
        self.slow = speed


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
def safety(bus: FakeBus) -> Safety:
    safety = Safety(bus, JointMap(DKITTY, 4096, (0, 4095)), DKITTY.servo, SafetyLimits())
    safety.energise()
    safety.begin(1000)
    return safety


def reading(**changes) -> Reading:
    values = {"answered": np.ones(N, dtype=bool), "error": np.zeros(N, dtype=int), "position": np.full(N, 2048.0)}
    return Reading(**values | changes)


def without(*silent: int) -> np.ndarray:
    return ~np.isin(np.arange(N), silent)


def test_a_target_beyond_a_limit_is_sent_as_the_limit(safety: Safety, bus: FakeBus) -> None:
    sent = safety.send(np.full(N, -3.0), 10.0)
    np.testing.assert_allclose(sent, [joint.lower for joint in DKITTY.joints], atol=2e-3)
    np.testing.assert_array_equal(safety.joints.to_angles(bus.goals[-1]), sent)


def test_a_joint_is_never_asked_to_move_faster_than_its_servo(safety: Safety) -> None:
    sent = safety.send(np.full(N, 1.5), 0.01)
    np.testing.assert_allclose(sent, 0.01 * DKITTY.servo.no_load_speed, atol=1e-3)
    assert safety.send(np.full(N, 1.5), 0.01, slow=True).max() < sent.max() + 0.01 + 1e-3


def test_a_target_does_not_run_far_ahead_of_a_joint_that_does_not_follow(safety: Safety) -> None:
    safety.check(reading(), 0.01)
    assert safety.send(np.full(N, 1.5), 1.0).max() == pytest.approx(0.8, abs=1e-3)


def test_a_joint_slower_than_its_steps_are_fine_moves_all_the_same() -> None:
    bus = FakeBus()
    bus.steps_per_turn, bus.step_limits = 360, (-125, 125)
    bus.held = lambda: np.zeros(N)  # type: ignore[method-assign]
    wiring = {leg: one.model_copy(update={"zeros": (0, 0, 0)}) for leg, one in DKITTY.wiring.legs.items()}
    coarse = DKITTY.model_copy(update={"wiring": DKITTY.wiring.model_copy(update={"legs": wiring})})
    safety = Safety(bus, JointMap(coarse, 360, (-125, 125)), DKITTY.servo, SafetyLimits(slow_speed=0.5))
    safety.energise()
    for _ in range(100):
        sent = safety.send(np.full(N, 0.25), 0.01, slow=True)  # a third of a step at a time
    np.testing.assert_allclose(sent, 0.25, atol=0.01)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_angle_that_is_not_a_number_never_leaves(safety: Safety, bus: FakeBus, bad: float) -> None:
    target = np.zeros(N)
    target[1] = bad
    with pytest.raises(HardwareFault, match=r"front_left_thigh \(servo 21\)"):
        safety.send(target, 0.01)
    assert bus.goals == []


def test_a_target_of_another_robot_is_misuse(safety: Safety) -> None:
    with pytest.raises(ValueError, match="12 joints"):
        safety.send(np.zeros(8), 0.01)


def test_a_joint_may_be_silent_for_two_cycles_and_no_longer(safety: Safety) -> None:
    for _ in range(SILENT_CYCLES):
        safety.check(reading(answered=without(1)), 0.01)
    safety.check(reading(), 0.01)
    for _ in range(SILENT_CYCLES):
        safety.check(reading(answered=without(1)), 0.01)
    with pytest.raises(HardwareFault, match=r"front_left_thigh \(servo 21\): no answer in 3 cycles"):
        safety.check(reading(answered=without(1)), 0.01)


def test_a_twentieth_of_bad_cycles_is_tolerated_and_no_more(safety: Safety) -> None:
    for _ in range(50):
        safety.check(reading(answered=without(2)), 0.01)
        safety.check(reading(), 0.01)
    with pytest.raises(HardwareFault, match=r"missing in 51 of .* mostly from front_left_shank"):
        safety.check(reading(answered=without(2)), 0.01)


@pytest.mark.parametrize(
    ("values", "sixteenths", "message"),
    [
        ({"temperature": np.where(np.arange(N) == 4, 71.0, 30.0)}, 0, r"front_right_thigh .servo 11.*71 degC"),
        ({"voltage": 16.0}, 0, r"16.0 V, at most 15.6 V"),
        ({"voltage": 9.0}, 7, r"9.0 V, below 9.6 V: charge"),
        ({"load": np.where(np.arange(N) == 0, 1.0, 0.1)}, 31, r"front_left_abduction .servo 20.: load 1.00"),
        ({"position": np.where(np.arange(N) == 1, 2748.0, 2048)}, 7, r"front_left_thigh.*tracking error 1.07 rad"),
        ({"orientation": np.array([0.8, 0, 0, 0.6])}, 0, r"tilted"),
    ],
)
def test_what_is_beyond_its_limit_stops_the_robot(safety: Safety, values: dict, sixteenths: int, message: str) -> None:
    for _ in range(sixteenths):
        safety.check(reading(**values), 1 / 16)
    with pytest.raises(HardwareFault, match=message):
        safety.check(reading(**values), 1 / 16)


@pytest.mark.parametrize("values", [{"voltage": 9.0}, {"position": np.full(N, 2048 + 700.0)}])
def test_a_short_dip_does_not(safety: Safety, values: dict) -> None:
    for _ in range(20):
        for _ in range(30):
            safety.check(reading(**values), 0.01)
        safety.check(reading(voltage=12.0), 0.01)


def test_readings_that_are_missing_are_no_reason_to_stop(safety: Safety) -> None:
    nothing = np.full(N, np.nan)
    blind = reading(position=nothing, temperature=nothing, load=nothing, voltage=math.nan, orientation=nothing[:4])
    for _ in range(300):
        safety.check(blind, 0.01)


def test_a_current_above_the_servos_own_limit_is_stopped() -> None:
    bus = FakeBus()
    bus.max_current = 3.0
    safety = Safety(bus, JointMap(DKITTY, 4096, (0, 4095)), DKITTY.servo, SafetyLimits())
    with pytest.raises(HardwareFault, match=r"current 2.80 A, at most 2.70"):
        safety.check(reading(current=np.full(N, -2.8)), 0.6)


def test_a_servo_whose_clock_starts_anew_has_restarted(safety: Safety) -> None:
    ticks = np.linspace(3, 9, N)
    safety.check(reading(tick=ticks), 0.01)
    safety.check(reading(tick=(ticks + 30) % 32.768), 0.01)  # turning over is no restart
    ticks = (ticks + 30.01) % 32.768
    ticks[5] = 0.2
    with pytest.raises(HardwareFault, match=r"front_right_shank \(servo 12\): it restarted"):
        safety.check(reading(tick=ticks), 0.01)


def test_an_error_byte_is_explained_at_once(safety: Safety, bus: FakeBus) -> None:
    bus.complaints[7] = "overload"
    error = np.zeros(N, dtype=int)
    error[7] = 0x80
    with pytest.raises(HardwareFault, match=r"rear_left_thigh \(servo 31\): overload"):
        safety.check(reading(error=error), 0.01)


def test_every_servo_has_its_turn_in_the_slow_poll(safety: Safety, bus: FakeBus) -> None:
    for _ in range(N * POLL_EVERY):
        safety.check(reading(), 0.01)
    assert sorted(bus.polled) == list(range(N))


def test_after_a_stop_nothing_moves(safety: Safety, bus: FakeBus) -> None:
    safety.stop_now("stopped by SIGINT")
    assert bus.released == 1
    for call in (
        lambda: safety.send(np.zeros(N), 0.01),
        lambda: safety.check(reading(), 0.01),
        safety.energise,
        safety.start_watchdog,
        lambda: safety.upload(np.zeros((64, N)), 0.5),
        lambda: safety.set_speed(slow=False),
    ):
        with pytest.raises(HardwareFault, match="SIGINT"):
            call()
    assert bus.goals == []


def test_servos_that_did_not_let_go_are_named(safety: Safety) -> None:
    assert safety.release() == ["front_left_thigh (servo 21): no answer"]


@pytest.fixture
def uploads(bus: FakeBus) -> list[tuple[np.ndarray, float]]:
    """What was uploaded, in steps; the device plays it rounded to whole ones, a little slower."""
    uploaded = []

    def upload(cycle, period):
        uploaded.append((cycle, period))
        return np.rint(cycle).astype(int), 1.01 * period

    bus.upload = upload  # type: ignore[method-assign]
    return uploaded


PHASE = np.arange(64)[:, None] / 64 * 2 * np.pi * np.ones(N)


def test_an_uploaded_cycle_is_clipped_like_everything_else(safety: Safety, uploads: list) -> None:
    safety.upload(3 * np.sin(PHASE), 0.2)
    cycle, period = uploads[0]
    angles = safety.joints.to_angles(cycle)
    assert angles.max() <= max(joint.upper for joint in DKITTY.joints) + 1e-3
    speeds = np.abs(np.diff(angles, axis=0, append=angles[:1])) * 64 / period
    assert speeds.max() <= DKITTY.servo.no_load_speed * 1.01
    assert period == 0.2, "a gait of another period is another gait"


@pytest.mark.parametrize(("amplitude", "period"), [(0.3, 0.5), (0.8, 0.4)])
def test_an_uploaded_cycle_is_what_the_control_loop_would_have_sent(
    safety: Safety, bus: FakeBus, uploads: list, amplitude: float, period: float
) -> None:
    cycle = amplitude * np.sin(PHASE + 0.3 * np.sin(2 * PHASE))
    safety.upload(cycle, period)
    for _ in range(3):
        sent = [safety.send(target, period / 64) for target in cycle]
    np.testing.assert_allclose(safety.joints.to_angles(uploads[0][0]), sent, atol=5e-3)


def test_an_upload_tells_what_the_device_really_plays(safety: Safety, uploads: list) -> None:
    played, period = safety.upload(0.2 * np.sin(PHASE), 0.5)
    np.testing.assert_array_equal(played, safety.joints.to_angles(np.rint(uploads[0][0])))
    np.testing.assert_allclose(
        played, np.clip(0.2 * np.sin(PHASE), safety.joints.lower, safety.joints.upper), atol=1e-3
    )
    assert period == pytest.approx(0.505)


def test_a_cycle_with_an_angle_that_is_no_number_is_not_uploaded(safety: Safety, uploads: list) -> None:
    cycle = np.zeros((64, N))
    cycle[40, 3] = np.nan
    with pytest.raises(HardwareFault, match=DKITTY.joint_names[3]):
        safety.upload(cycle, 0.5)
    assert not uploads


def test_nothing_else_sends_to_a_bus() -> None:
    """Decision 7: no path around the safety layer."""
    guarded = {"write", "exchange", "upload", "energise", "release", "release_all", "set_speed_limit", "start_watchdog"}
    offenders = []
    folder = Path(hardware.__file__).parent
    for path in [*folder.glob("*.py"), *(folder.parent / "robotps" / "cli").glob("*.py")]:
        if path.name in ("safety.py", "dynamixel.py", "feetech.py", "opencat.py", "register_bus.py", "bus.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in guarded
                and ast.unparse(node.func.value).endswith("bus")
            ):
                offenders.append(f"{path.name}: {ast.unparse(node)}")
    assert offenders == []


def test_limits_come_from_the_servo_unless_a_person_sets_them() -> None:
    bus: Callable[[], FakeBus] = FakeBus
    joints = JointMap(DKITTY, 4096, (0, 4095))
    own = Safety(bus(), joints, DKITTY.servo, SafetyLimits(max_speed=2.0, min_voltage=11.0))
    assert (own.max_speed, own.min_voltage) == (2.0, 11.0)
    assert Safety(bus(), joints, DKITTY.servo, SafetyLimits()).max_speed == DKITTY.servo.no_load_speed
