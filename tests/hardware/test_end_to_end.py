"""The host against the virtual robot: trials, verbs and calibration over a real pseudo-terminal, in lockstep."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import dynamixel_sdk
import pytest
from typer.testing import CliRunner, Result

from hardware.calibrate import calibrate
from hardware.calibration_file import Calibration, JointCalibration, joint_ids, load_calibration, save_calibration
from hardware.dynamixel import TABLE
from hardware.faults import HardwareFault
from hardware.odometer import make_odometer
from hardware.person import Assistant
from hardware.robot import SerialRobot, bus_of
from hardware.safety import SafetyLimits
from hardware.session import Session
from hardware.virtual.reality import JointReality, Reality
from hardware.virtual.robot import VirtualRobot
from robotps.cli.app import app
from robotps.description import RobotDescription, load_description
from robotps.errors import RobotpsError
from robotps.gait import initial_gait
from robotps.robot import Telemetry
from robotps.trial import Trial, TrialSettings, digest, run_trial

DKITTY, BITTLE = load_description("dkitty"), load_description("bittle")
SETTINGS = TrialSettings(seconds=1.0, warm_up=0.5)


def feetech() -> RobotDescription:
    servo = DKITTY.servo.model_copy(
        update={"model": "STS3215", "stall_torque": 1.9, "no_load_speed": 5.4, "voltage": 7.4}
    )
    wiring = DKITTY.wiring.model_copy(update={"protocol": "feetech"})
    return DKITTY.model_copy(update={"name": "feetech_kitty", "servo": servo, "wiring": wiring})


def one_trial(description: RobotDescription, count: int = 1) -> list[tuple[Trial, Telemetry]]:
    """Trials of the description's own gait on a virtual robot that has never moved before."""
    with VirtualRobot(description, realtime=False) as virtual:
        odometer = make_odometer(f"stream:{virtual.position_stream}", Assistant(virtual.assistant))
        robot = SerialRobot(description, virtual.port, pace="device", limits=SafetyLimits(slow_speed=4.0))
        trials = []
        with Session(robot, Assistant(virtual.assistant)) as session:
            for _ in range(count):
                with session() as ready:
                    trials.append(run_trial(ready, initial_gait(description), SETTINGS, odometer))
        return trials


@pytest.mark.parametrize("description", [DKITTY, feetech(), BITTLE], ids=lambda d: d.name)
def test_a_gait_walks_and_the_same_again_to_the_bit(description: RobotDescription) -> None:
    (trial, telemetry), *_ = one_trial(description)
    assert trial.ending == "finished", trial.reason
    assert trial.speed > 0.02
    again, telemetry_again = one_trial(description)[0]
    assert digest(telemetry) == digest(telemetry_again)
    assert again == trial


def test_what_the_host_reads_is_what_the_vendors_sdk_reads() -> None:
    with VirtualRobot(DKITTY, realtime=False) as virtual:
        bus = bus_of(DKITTY, virtual.port)
        bus.patience = 0.5
        bus.port.open()
        held = {name: bus.get(name) for name in TABLE if name != "realtime_tick"}
        bus.port.close()
        port, sdk = dynamixel_sdk.PortHandler(virtual.port), dynamixel_sdk.PacketHandler(2.0)
        port.openPort()
        port.setBaudRate(1_000_000)
        for name, values in held.items():
            register = TABLE[name]
            for id_ in (20, 42):
                data, result, error = sdk.readTxRx(port, id_, register.address, register.size)
                assert (result, error) == (0, 0), name
                assert register.decode(bytes(data)) == values[id_], name
        port.closePort()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def answer_of(result: Result) -> Any:
    return json.loads(result.stdout.strip().splitlines()[-1])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("hardware.bus.Bus.patience", 0.3)  # a loaded machine is not a bad bus
    return tmp_path


@pytest.mark.parametrize("name", ["dkitty", "bittle"])
def test_check_and_stop_speak_to_every_kind_of_robot(here: Path, name: str) -> None:
    with VirtualRobot(load_description(name), realtime=False) as virtual:
        on = f"serial:{virtual.port}"
        first = invoke("check", "--robot", name, "--on", on, "--json")
        checks = {check["name"]: check for check in answer_of(first)["checks"]}
        assert checks["servos"]["passed"]
        assert checks["stop"]["passed"]
        if name == "dkitty":
            assert not checks["settings"]["passed"]
            assert "return delay 250 -> 0: all servos" in checks["settings"]["found"]
            assert first.exit_code == 1
            again = invoke("check", "--robot", name, "--on", on, "--set", "--json")
            assert {check["name"]: check["passed"] for check in answer_of(again)["checks"]}["settings"]
        for named in (["--robot", name], []):
            stopped = invoke("stop", *named, "--on", on, "--json")
            assert answer_of(stopped) == {"stopped": True, "failures": []}, stopped.stderr


def test_ports_finds_out_what_answers(here: Path) -> None:
    with VirtualRobot(DKITTY, realtime=False) as virtual:
        (row,) = answer_of(invoke("ports", virtual.port, "--json"))["ports"]
    assert (row["protocol"], row["baud"]) == ("dynamixel", 1_000_000)
    assert [servo["id"] for servo in row["servos"]] == [10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42]
    assert {servo["model"] for servo in row["servos"]} == {"XM430-W210"}


def test_servos_of_the_other_kind_are_found_told_and_used(here: Path) -> None:
    with VirtualRobot(DKITTY, protocol="feetech", realtime=False) as virtual:
        on = f"serial:{virtual.port}"
        result = invoke("check", "--on", on, "--set", "--json")
        checks = {check["name"]: check for check in answer_of(result)["checks"]}
        assert "STS3215 and speaks feetech" in checks["protocol"]["found"]
        assert 'wiring.protocol = "feetech"' in checks["protocol"]["found"]
        assert checks["stop"]["passed"]
        assert result.exit_code == 0, result.stderr
        assert answer_of(invoke("stop", "--robot", "dkitty", "--on", on, "--json"))["stopped"]
        told: list[str] = []
        with SerialRobot(DKITTY, virtual.port, pace="device", tell=told.append) as robot:
            assert "current" in robot.senses
            assert {info.model for info in robot.servos} == {"STS3215"}
        assert "speaks feetech" in told[0]


def test_a_wrong_port_is_one_message(here: Path) -> None:
    for verb in ("check", "stop"):
        result = invoke(verb, "--on", "serial:/dev/ttyNOPE")
        assert result.exit_code == 1
        assert "no port /dev/ttyNOPE" in result.stderr
    assert "needs a physical robot" in invoke("check", "--on", "sim").stderr


def test_a_wrong_baud_rate_and_a_missing_servo_are_one_message() -> None:
    slow = DKITTY.model_copy(update={"wiring": DKITTY.wiring.model_copy(update={"baud": 57600})})
    legs = dict(DKITTY.wiring.legs)
    legs["front_left"] = legs["front_left"].model_copy(update={"ids": (20, 21, 99)})
    other = DKITTY.model_copy(update={"wiring": DKITTY.wiring.model_copy(update={"legs": legs})})
    with VirtualRobot(DKITTY, realtime=False) as virtual:
        with pytest.raises(HardwareFault, match=r"no answer from front_left_abduction .* at 57600 baud"):
            SerialRobot(slow, virtual.port).connect()
        robot = SerialRobot(other, virtual.port, pace="device")
        with pytest.raises(HardwareFault, match=r"no answer from front_left_shank \(servo 99\)"):
            robot.connect()
        robot.close()


class Eyes:
    """A person who sees how the joints really stand, and compares them with the drawing."""

    def __init__(self, virtual: VirtualRobot) -> None:
        self._virtual = virtual
        self._names = list(DKITTY.joint_names)
        self._helper = Assistant(virtual.assistant)
        self.asked: list[str] = []
        self.joints: list[str] = []

    def ask(self, what: str, message: str, **details: Any) -> dict[str, Any]:
        self.asked.append(what)
        if what != "confirm":
            return dict(self._helper.ask(what, message))
        self.joints.append(details["joint"])
        angle = float(self._virtual.plant.body.angle[self._names.index(details["joint"])])
        if "did the foot" in message:
            return {"done": True, "text": "y"}
        if abs(angle) < math.radians(0.3):
            return {"done": True, "text": ""}
        return {"done": True, "text": f"{-math.degrees(angle):.2f}"}

    def presses(self, since: float) -> list[float]:
        return []

    def tell(self, message: str) -> None: ...


def test_calibration_finds_the_zero_that_a_joint_really_has(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resumed with one joint left; its servo says zero where the joint really stands at 0.12 rad."""
    monkeypatch.setattr("hardware.calibrate.SLOW", 2.0)
    name, offset = "front_left_thigh", 0.12
    reality = Reality(joints={name: JointReality(zero_offset_rad=offset)})
    path, told = here / "dkitty.calibration.toml", []
    others = {
        other: JointCalibration(id=id_, zero=2048, direction=1, range_min=0, range_max=4095)
        for other, id_ in joint_ids(DKITTY).items()
        if other != name
    }
    save_calibration(path, Calibration(robot="dkitty", joints=others))
    with VirtualRobot(DKITTY, reality=reality, realtime=False) as virtual:
        person = Eyes(virtual)
        calibrate(DKITTY, virtual.port, path, person, resume=True, pace="device", tell=told.append)
    assert person.asked[0] == "on_stand"
    assert set(person.joints) == {name}
    found = load_calibration(path, DKITTY).joints
    assert found[name].direction == 1
    assert (2048 - found[name].zero) * 2 * math.pi / 4096 == pytest.approx(offset, abs=0.015)
    assert found["rear_left_thigh"] == others["rear_left_thigh"]
    assert (here / f"dkitty.calibration.{name}.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("name", "joint", "zero"), [("bittle", "rear_left_knee", -6), ("dkitty", "front_left_thigh", 1983)]
)
def test_the_scripted_person_calibrates_a_joint_of_servos_fine_and_coarse(
    here: Path, name: str, joint: str, zero: int
) -> None:
    reality = Reality(joints={joint: JointReality(zero_offset_rad=0.1)})
    with VirtualRobot(load_description(name), reality=reality, realtime=False) as virtual:
        on = ("--on", f"serial:{virtual.port}", "--assistant", virtual.assistant, "--pace", "device")
        result = invoke("calibrate", "--robot", name, *on, "--joint", joint, "--json")
    assert result.exit_code == 0, result.stderr
    found = answer_of(result)["joints"][joint]
    assert found["direction"] == 1
    assert found["zero"] == pytest.approx(zero, abs=1 if name == "bittle" else 8)


def test_a_direction_that_nobody_says_is_not_asked_for_for_ever(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hardware.calibrate.SLOW", 4.0)
    monkeypatch.setattr("hardware.calibrate.SHOWN", 2)
    with VirtualRobot(DKITTY, realtime=False) as virtual:
        person = Eyes(virtual)
        person.ask = lambda what, message, **details: {"done": True, "text": ""}  # type: ignore[method-assign]
        with pytest.raises(RobotpsError, match="front_left_thigh: nobody said y or n"):
            calibrate(
                DKITTY, virtual.port, here / "x.toml", person, joint="front_left_thigh", pace="device", tell=print
            )
        assert not virtual.plant.servos.on.any()
