"""The OpenCat bus against a scripted board: commands byte for byte, acknowledgements, the uploaded gait, the stop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardware import opencat
from hardware.faults import HardwareFault
from hardware.joints import JointMap
from hardware.opencat import OpenCatBus
from hardware.port import Port
from hardware.safety import Safety, SafetyLimits
from robotps.description import load_description
from robotps.errors import RobotpsError
from robotps.gait import gait_cycle, initial_gait

JOINTS = {8: "front_left_shoulder", 12: "front_left_knee", 9: "front_right_shoulder", 13: "front_right_knee"}


class Board:
    """Acknowledges every command; says its name, its angles and its voltage."""

    def __init__(self, device) -> None:
        self.commands: list[bytes] = []
        self.mute: set[bytes] = set()
        self._buffer = bytearray()
        self.angles = list(range(0, 32, 2))
        device.answer = self._answer

    def _answer(self, data: bytes) -> bytes:
        self._buffer += data
        reply = b""
        while self._buffer:
            end = self._buffer.find(b"~" if self._buffer[:1].isupper() else b"\n")
            if end < 0:
                break
            command, self._buffer = bytes(self._buffer[:end]), self._buffer[end + 1 :]
            self.commands.append(command)
            token = command[:1]
            if token in self.mute:
                continue
            if token == b"?":
                reply += b"Bittle\r\nB02_240101\r\n"
            if token == b"P":
                reply += b"Voltage: 7.90 V\r\n"
            if token == b"j":
                header = "\t".join(f"{n}," for n in range(16))
                reply += f"=\r\n{header}\r\n".encode() + "\t".join(f"{a}," for a in self.angles).encode() + b"\r\n"
            reply += (b"k" if token == b"K" else token) + b"\r\n"
        return reply


@pytest.fixture
def board(device) -> Board:
    return Board(device)


@pytest.fixture
def bus(device, board: Board):
    port = Port(device.name, 115200)
    port.open()
    yield OpenCatBus(port, JOINTS, "Bittle")
    port.close()


def test_the_board_says_what_it_is(bus: OpenCatBus) -> None:
    infos = bus.identify()
    assert [info.id for info in infos] == list(JOINTS)
    assert (infos[0].model, infos[0].firmware) == ("Bittle", "B02_240101")


def test_goals_are_indexed_pairs_of_whole_degrees(bus: OpenCatBus, board: Board) -> None:
    bus.write(np.array([30, -40, 200, 0]))
    assert board.commands == [bytes([ord("I"), 8, 30, 12, 256 - 40, 9, 125, 13, 0])]


def test_what_the_board_was_told_is_where_a_move_begins(bus: OpenCatBus, board: Board) -> None:
    board.angles[12] = -33
    assert bus.held().tolist() == [16, -33, 18, 26]


def test_balance_is_off_before_anything_moves_and_after_a_rest(bus: OpenCatBus, board: Board) -> None:
    bus.prepare(np.full(4, -90), np.full(4, 90))
    assert board.commands[0] == b"gb"
    bus.energise(1.0)
    assert board.commands[-1] == b"gb"


def uploaded(board: Board) -> tuple[bytes, np.ndarray]:
    """Header and frames, (n_frames, 8), of the gait that the board was given last."""
    upload = next(command for command in reversed(board.commands) if command[:1] == b"K")
    return upload[1:5], np.frombuffer(upload[5:], dtype=np.int8).reshape(-1, 8)


def test_an_uploaded_gait_has_the_boards_frames_and_order(bus: OpenCatBus, board: Board) -> None:
    phase = np.arange(64) / 64 * 2 * math.pi
    cycle = np.stack([30 * np.sin(phase), np.full(64, 5.0), np.full(64, -7.0), 10 * np.cos(phase)], axis=1)
    played, played_period = bus.upload(cycle, 0.552)
    (period, roll, pitch, ratio), frames = uploaded(board)
    assert (period, roll, pitch, ratio) == (50, 0, 0, 1)
    time = np.arange(50) / 50 * 2 * math.pi
    np.testing.assert_allclose(frames[:, 0], 30 * np.sin(time), atol=0.6)  # joint 8
    np.testing.assert_allclose(frames[:, 1], -7)  # joint 9
    np.testing.assert_allclose(frames[:, 4], 5)  # joint 12
    np.testing.assert_allclose(frames[:, 5], 10 * np.cos(time), atol=0.6)  # joint 13
    np.testing.assert_array_equal(played, frames[:, [0, 4, 1, 5]])
    assert played_period == pytest.approx(0.55)


def test_goals_are_rounded_to_degrees_once(bus: OpenCatBus, board: Board) -> None:
    cycle = np.tile([[0.4], [0.4], [0.8], [0.8]], (1, 4))  # rounded first, the frame between would be half-way to 1
    bus.upload(cycle, 8 * opencat.FRAME)
    np.testing.assert_array_equal(uploaded(board)[1][:, 0], [0, 0, 0, 1, 1, 1, 1, 1])


def test_nothing_is_said_to_a_board_after_an_upload(bus: OpenCatBus, board: Board) -> None:
    """Newer firmware ends an uploaded gait at the next command, also at one about the IMU."""
    bus.upload(np.zeros((64, 4)), 0.5)
    assert b"gP" in board.commands
    assert board.commands[-1][:1] == b"K"


def test_a_gait_too_long_for_a_board_is_refused_not_hurried(bus: OpenCatBus, board: Board) -> None:
    bus.upload(np.zeros((64, 4)), 1.37)
    with pytest.raises(RobotpsError, match=r"2 s is too long for an OpenCat board: it holds 1\.375 s"):
        bus.upload(np.zeros((64, 4)), 2.0)


def test_a_gait_that_its_servos_cannot_follow_keeps_its_period(device, board: Board) -> None:
    bittle = load_description("bittle")
    joints = JointMap(bittle, 360, (-125, 125))
    port = Port(device.name, 115200)
    port.open()
    safety = Safety(
        OpenCatBus(port, dict(zip(joints.ids, joints.names, strict=True)), ""), joints, bittle.servo, SafetyLimits()
    )
    cycle = gait_cycle(bittle, initial_gait(bittle))
    asked = np.abs(np.diff(cycle.joints, axis=0)).max() * len(cycle.joints) / cycle.period
    assert asked > bittle.servo.no_load_speed, "else this tests nothing"
    safety.energised = True
    _, period = safety.upload(cycle.joints, cycle.period)
    port.close()
    assert period == pytest.approx(cycle.period, abs=opencat.FRAME / 2)
    assert len(uploaded(board)[1]) == round(cycle.period / opencat.FRAME)


@given(st.lists(st.lists(st.integers(-250, 250), min_size=8, max_size=8), min_size=2, max_size=125))
def test_no_uploaded_byte_is_taken_for_the_end(frames: list[list[int]]) -> None:
    data = opencat.skill(np.array(frames))
    assert data.index(b"~") == len(data) - 1
    assert len(data) <= 2507
    restored = np.frombuffer(data[5:-1], dtype=np.int8).reshape(-1, 8).astype(int) * data[4]
    np.testing.assert_allclose(restored, frames, atol=1)


def test_a_board_that_does_not_acknowledge_is_a_fault(bus: OpenCatBus, board: Board, monkeypatch) -> None:
    monkeypatch.setattr(opencat, "_ACKNOWLEDGED", 0.05)
    board.mute = {b"I"}
    with pytest.raises(HardwareFault, match="does not acknowledge 'I'"):
        bus.write(np.zeros(4, dtype=int))


def test_the_stop_is_sent_alone_and_confirmed(bus: OpenCatBus, board: Board) -> None:
    assert bus.release() == {}
    assert board.commands == [b"d"]


def test_a_stop_that_is_not_confirmed_names_every_joint(bus: OpenCatBus, board: Board, monkeypatch) -> None:
    monkeypatch.setattr(opencat, "_RESTED", 0.05)
    monkeypatch.setattr(opencat, "_AGAIN", 0.05)
    board.mute = {b"d"}
    assert set(bus.release()) == set(JOINTS)


@pytest.fixture
def echoing(device, board: Board) -> Board:
    """A board on a line that returns what was sent."""
    answer = device.answer
    device.answer = lambda data: data + answer(data)
    return board


def test_an_echo_is_no_answer(bus: OpenCatBus, echoing: Board) -> None:
    assert bus.identify()[0].firmware == "B02_240101"
    bus.prepare(np.full(4, -90), np.full(4, 90))
    bus.energise(1.0)
    assert bus.held().tolist() == [16, 24, 18, 26]
    bus.write(np.array([10, 13, -10, 8]))  # as bytes, 13 and 10 end a line
    bus.upload(np.tile([10.0, 13.0, 10.0, 13.0], (64, 1)), 0.5)
    assert bus.read().voltage == pytest.approx(7.9)
    assert bus.release() == {}


def test_an_echo_does_not_confirm_a_stop(bus: OpenCatBus, echoing: Board, monkeypatch) -> None:
    monkeypatch.setattr(opencat, "_RESTED", 0.05)
    monkeypatch.setattr(opencat, "_AGAIN", 0.05)
    echoing.mute = {b"d"}
    assert set(bus.release()) == set(JOINTS)


def test_a_board_that_hangs_is_given_up_within_two_seconds(monkeypatch) -> None:
    clock = [0.0]

    class Deaf(Port):
        def write(self, data: bytes) -> None: ...

        def read(self, deadline: float) -> bytes:
            clock[0] = max(clock[0], deadline)
            return b""

    monkeypatch.setattr(opencat.time, "monotonic", lambda: clock[0])
    bus = OpenCatBus(Deaf("/dev/none", 115200), JOINTS, "Bittle")
    for command in (
        lambda: bus.write(np.zeros(4, dtype=int)),
        lambda: bus.upload(np.zeros((64, 4)), 0.5),
        bus.held,
        lambda: bus.energise(1.0),
    ):
        began = clock[0]
        with pytest.raises(HardwareFault, match="does not acknowledge"):
            command()
        assert set(bus.release()) == set(JOINTS)
        assert clock[0] - began < 2.0


BANNER = b"k\r\nFlush the serial buffer...\r\n\r\n* Start *\r\nBittle\r\nSoftware version: B02\r\nReady!\r\n"


def test_a_board_that_restarts_while_it_walks_is_named(bus: OpenCatBus, board: Board, device) -> None:
    bus.identify()
    bus.upload(np.zeros((64, 4)), 0.5)
    device.say(BANNER)

    def read_until_heard() -> None:
        while True:
            bus.read()

    with pytest.raises(HardwareFault, match="restarted by itself"):
        read_until_heard()
    assert bus.release() == {}
    bus.prepare(np.full(4, -90), np.full(4, 90))  # and it is ready again


def test_a_board_that_restarts_instead_of_answering_is_named(bus: OpenCatBus, board: Board, device) -> None:
    bus.identify()
    board.mute = {b"I"}
    scripted = device.answer
    device.answer = lambda data: scripted(data) + (BANNER if data[:1] == b"I" else b"")
    with pytest.raises(HardwareFault, match="restarted by itself"):
        bus.write(np.zeros(4, dtype=int))


def test_a_board_may_start_when_its_port_is_opened(bus: OpenCatBus, board: Board, device) -> None:
    bus.identify()
    device.say(BANNER)
    assert bus.identify()[0].model == "Bittle"


def test_an_orientation_is_not_kept_beyond_its_motion(bus: OpenCatBus, board: Board, device) -> None:
    bus.upload(np.zeros((64, 4)), 0.5)
    device.say(b"0.00\t0.00\t170.00\t0\t0\t0\t0\r\n")  # it fell
    while np.isnan(bus.read().orientation).any():
        pass
    bus.release()
    assert np.isnan(bus.read().orientation).all()
    bus.upload(np.zeros((64, 4)), 0.5)
    assert np.isnan(bus.read().orientation).all()


def test_a_stop_amid_an_upload_ends_the_upload_first(bus: OpenCatBus, board: Board) -> None:
    bus._unfinished = True
    bus.port.write(b"K" + bytes([50, 0, 0, 1, 3]))
    bus.release_all()
    bus.release()
    assert board.commands[-2:] == [b"d", b"d"]


@pytest.mark.parametrize(
    ("line", "yaw_pitch_roll"),
    [
        (b"10.00\t-20.00\t30.00\t12\t3\t8192\t0", (10, -20, 30)),
        (b"ICM:   0.1   0.2   9.8   10.0  -20.0   30.0", (10, -20, 30)),
        (b"MCU:-100.1-100.2-100.3-100.5  -20.0   30.0", (-100.5, -20, 30)),
    ],
)
def test_orientation_is_read_from_every_firmwares_line(line: bytes, yaw_pitch_roll: tuple[float, ...]) -> None:
    x, y, z, w = opencat.orientation_of(line)
    yaw, pitch, roll = (math.radians(angle) for angle in yaw_pitch_roll)
    assert math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)) == pytest.approx(-yaw)
    assert math.asin(2 * (w * y - z * x)) == pytest.approx(-pitch)
    assert math.atan2(2 * (w * x + y * z), 1 - 2 * (x * x + y * y)) == pytest.approx(roll)


@pytest.mark.parametrize("line", [b"", b"k", b"Ready!", b"0,\t1,\t2,\t3,", b"Voltage: 7.9 V", b"ICM:"])
def test_other_lines_are_no_orientation(line: bytes) -> None:
    assert opencat.orientation_of(line) is None


@given(st.binary(max_size=60))
def test_no_line_crashes_the_reading_of_orientation(line: bytes) -> None:
    opencat.orientation_of(line)


def test_the_latest_streamed_orientation_is_read(bus: OpenCatBus, board: Board, device) -> None:
    bus.upload(np.zeros((64, 4)), 0.5)
    device.say(b"0.00\t0.00\t10.00\t0\t0\t0\t0\r\n0.00\t0.00\t20.00\t0\t0\t0\t0\r\n0.00\t0.0")
    reading = bus.read()
    while np.isnan(reading.orientation[0]) or 2 * math.asin(reading.orientation[0]) < math.radians(15):
        reading = bus.read()
    assert 2 * math.asin(reading.orientation[0]) == pytest.approx(math.radians(20))
    assert reading.voltage == pytest.approx(7.9)
