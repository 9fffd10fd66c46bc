from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardware.virtual.opencat import OpenCatBoard
from hardware.virtual.plant import Plant
from hardware.virtual.reality import Reality
from robotps.description import load_description

BAUD = 115200
SHOULDERS, KNEES = range(8, 12), range(12, 16)


@pytest.fixture
def board() -> OpenCatBoard:
    """In lockstep; what it says at boot has been read."""
    board = OpenCatBoard(Plant(load_description("bittle")), lockstep=True)
    board.spontaneous()
    return board


def lines(board: OpenCatBoard, command: bytes) -> list[str]:
    said = b"".join(reply.data for reply in board.feed(command, BAUD))
    return said.decode().split("\r\n")[:-1]


def pose(shoulder: int, knee: int) -> bytes:
    """`L` for all sixteen joints."""
    return b"L" + np.array([0] * 8 + [shoulder] * 4 + [knee] * 4, dtype=np.int8).tobytes() + b"~"


def skill(frames: list[list[int]], ratio: int = 1) -> bytes:
    data = np.array([len(frames), 0, 0, ratio, *(a for frame in frames for a in frame)], dtype=np.int8)
    return b"K" + data.tobytes() + b"~"


def angles(board: OpenCatBoard) -> list[int]:
    row = lines(board, b"j\n")[2]
    return [int(part) for part in re.findall(r"-?\d+", row)]


def test_the_boot_text_ends_with_ready() -> None:
    board = OpenCatBoard(Plant(load_description("bittle")), lockstep=True)
    said = b"".join(reply.data for reply in board.spontaneous())
    assert said.endswith(b"Ready!\r\n")
    slow = OpenCatBoard(Plant(load_description("bittle")))
    slow.advance(0.5)
    assert b"Ready!" not in b"".join(reply.data for reply in slow.spontaneous())
    slow.feed(b"?\n", BAUD)
    slow.advance(1.0)
    said = b"".join(reply.data for reply in slow.spontaneous())
    assert said.endswith(b"Ready!\r\n"), "what is said to a booting board is lost"


def test_it_says_what_it_is_and_its_voltage(board: OpenCatBoard) -> None:
    assert lines(board, b"?\n") == ["Bittle X", "B10_240712", "?"]
    assert lines(board, b"P~") == ["Voltage: 7.40 V", "P"]


def test_a_motion_is_acknowledged_after_it_and_takes_as_long_as_measured(board: OpenCatBoard) -> None:
    lines(board, pose(30, 30))
    for degrees, rate in ((2, 56), (20, 11)):
        start = board.time
        assert lines(board, pose(30 + degrees, 30)) == ["L"]
        assert 1 / (board.time - start) == pytest.approx(rate, rel=0.15)
        lines(board, pose(30, 30))


def test_joints_go_where_they_are_told_and_j_lists_commands_not_positions(board: OpenCatBoard) -> None:
    board.plant.put_on_stand()
    assert lines(board, b"I\x08\x14\x0c\xf6~") == ["I"]
    assert lines(board, b"i9 25 13 -15\n") == ["i"]
    assert lines(board, b"m10 10 14 5\n") == ["m"]
    for _ in range(30):
        told = angles(board)
    assert [told[i] for i in (8, 9, 10, 12, 13, 14)] == [20, 25, 10, -10, -15, 5]
    names = board.plant.description.joint_names
    joint = dict(zip(names, board.plant.body.angle.tolist(), strict=True))
    assert joint["front_left_shoulder"] == pytest.approx(math.radians(20), abs=0.05)
    assert joint["front_right_knee"] == pytest.approx(math.radians(-15), abs=0.05)
    assert joint["rear_right_shoulder"] == pytest.approx(math.radians(10), abs=0.05)
    assert lines(board, b"j 9\n") == ["=", "25", "j"]


def test_an_uploaded_gait_runs_on_board_until_the_next_motion(board: OpenCatBoard) -> None:
    lines(board, b"gb\n")
    frames = [[30 + 10 * (k % 4)] * 4 + [30] * 4 for k in range(8)]
    assert lines(board, skill(frames)) == ["k"]
    seen = set()
    for _ in range(40):
        assert lines(board, b"gp\n")[-1] == "g", "the gait survives questions about the gyro"
        seen.add(board.plant.servos.aimed[0])
    assert len(seen) == 4
    lines(board, pose(30, 30))
    seen = {board.plant.servos.aimed[0] for _ in range(10) if lines(board, b"gp\n")}
    assert len(seen) == 1


def test_a_gait_keeps_the_boards_frame_time_and_gf_shortens_it(board: OpenCatBoard) -> None:
    lines(board, b"gb\n")
    frames = [[k] * 8 for k in range(100)]
    for command, frame in ((b"gFb\n", 0.011), (b"gfb\n", 0.006)):
        lines(board, command)
        lines(board, skill(frames))
        start, shown = board.time, angles(board)[8]
        for _ in range(20):
            lines(board, b"gp\n")
        passed = angles(board)[8] - shown
        assert (board.time - start) / passed == pytest.approx(frame, rel=0.1)


def test_large_angles_come_at_half_scale(board: OpenCatBoard) -> None:
    lines(board, skill([[40] * 8, [45] * 8], ratio=2))
    assert angles(board)[8] in (80, 90)


def test_rest_lies_down_and_switches_the_servos_off(board: OpenCatBoard) -> None:
    lines(board, pose(30, 30))
    board.plant.put_at_start()
    for _ in range(50):
        lines(board, b"gp\n")
    standing = board.plant.body.pose.position[2]
    assert lines(board, b"d\n") == ["g", "d"]
    assert not board.plant.servos.on.any()
    assert board.plant.body.pose.position[2] < standing - 0.02
    assert lines(board, b"gb\n")[0] == "G", "after a rest the balance reflex wakes up by itself"


def test_balance_reflex_acts_on_a_gait_until_it_is_switched_off() -> None:
    def shoulders(command: bytes) -> set[float]:
        reality = Reality.model_validate({"floor": {"slope_deg": 15.0}})
        board = OpenCatBoard(Plant(load_description("bittle"), reality), lockstep=True)
        board.plant.put_on_stand()
        lines(board, command)
        lines(board, skill([[30] * 8, [30] * 8]))
        return {float(board.plant.servos.aimed[0]) for _ in range(5) if lines(board, b"gp\n")}

    assert shoulders(b"gb\n") == {math.radians(30)}
    assert all(aim > math.radians(31) for aim in shoulders(b"gB\n"))


def test_the_imu_prints_acceleration_yaw_pitch_roll_once_or_as_a_stream(board: OpenCatBoard) -> None:
    once = lines(board, b"v\n")
    assert once[1] == "v"
    assert re.fullmatch(r"MCU:( +-?\d+\.\d){6}", once[0])
    values = [float(part) for part in re.findall(r"-?\d+\.\d", once[0])]
    assert np.abs(values).max() < 10
    assert lines(board, b"gP\n")[-2].startswith("MCU:")
    streamed = [line for line in lines(board, b"?\n") if line.startswith("MCU:")]
    assert streamed
    lines(board, b"gp\n")
    assert not [line for line in lines(board, b"?\n") if line.startswith("MCU:")]


def test_calibration_shifts_a_joint_until_aborted_and_stays_when_saved(board: OpenCatBoard) -> None:
    assert lines(board, b"c8 7\n")[-1] == "c"
    assert board.plant.servos.aimed[0] == pytest.approx(math.radians(7))
    assert lines(board, b"a\n") == ["G", "aborted", "a"]
    lines(board, b"c\n")
    assert board.plant.servos.aimed[0] == pytest.approx(0.0)
    lines(board, b"c8 -3\n")
    lines(board, b"s\n")
    assert lines(board, b"!\n")[-2:] == ["Ready!", "!"]
    lines(board, pose(10, 10))
    assert board.plant.servos.aimed[0] == pytest.approx(math.radians(7))


def test_commands_without_a_pause_are_taken_for_one(board: OpenCatBoard) -> None:
    assert lines(board, b"d\nd\nd\n")[-1] == "d"
    assert lines(board, b"x\n") == ["G", "Undefined token!", "x"]


def test_a_command_in_slices_waits_for_its_end(board: OpenCatBoard) -> None:
    whole = skill([[30] * 8] * 20)
    for start in range(0, len(whole) - 20, 20):
        assert lines(board, whole[start : start + 20]) == []
    rest = whole[(len(whole) - 1) // 20 * 20 :]
    assert lines(board, rest) == ["k"]


def test_in_real_time_a_missing_end_is_waited_for_only_a_moment() -> None:
    board = OpenCatBoard(Plant(load_description("bittle")))
    board.advance(1.2)
    board.spontaneous()
    board.feed(b"?", BAUD)
    board.advance(0.05)
    assert b"".join(reply.data for reply in board.spontaneous()).endswith(b"?\r\n")


def test_another_baud_rate_is_noise(board: OpenCatBoard) -> None:
    assert board.feed(b"?\n", 9600) == []


@pytest.fixture(scope="module")
def shared() -> OpenCatBoard:
    return OpenCatBoard(Plant(load_description("bittle")), lockstep=True)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=20),
            st.builds(
                lambda token, rest: token + rest + (b"~" if token.isupper() else b"\n"),
                st.sampled_from([bytes((code,)) for code in range(33, 126)]),
                st.binary(max_size=30),
            ),
        ),
        max_size=4,
    )
)
def test_no_byte_sequence_crashes_or_hangs_the_board(shared: OpenCatBoard, stream: list[bytes]) -> None:
    start = shared.time
    for part in stream:
        shared.feed(part, BAUD)
    shared.feed(b"~", BAUD)
    shared.feed(b"\n", BAUD)
    assert {"g", "G"} & set(lines(shared, b"gb\n"))  # among the lines of an IMU stream that some bytes may start
    assert shared.time - start < 30 * (len(stream) + 3)
