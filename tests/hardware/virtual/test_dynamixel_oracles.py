"""Vendors' own software, unmodified, takes the virtual servos for real."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any

import dynamixel_easy_sdk
import pytest
import rustypot
from dynamixel_sdk import (
    COMM_RX_TIMEOUT,
    COMM_SUCCESS,
    GroupBulkRead,
    GroupBulkWrite,
    GroupSyncRead,
    GroupSyncWrite,
    PacketHandler,
    PortHandler,
)

from hardware.virtual.dynamixel import DynamixelBus

BAUD = 1_000_000
IDS = [10, 11, 12, 20, 21, 22, 30, 31, 32, 40, 41, 42]


@pytest.fixture
def sdk(dkitty_port: str):
    port = PortHandler(dkitty_port)
    assert port.openPort()
    assert port.setBaudRate(BAUD)
    yield port, PacketHandler(2.0)
    port.closePort()


def test_sdk_pings_each_servo_and_all_at_once(sdk) -> None:
    port, packets = sdk
    assert [packets.ping(port, id_) for id_ in IDS] == [(1030, COMM_SUCCESS, 0)] * 12
    assert packets.ping(port, 13)[1] == COMM_RX_TIMEOUT
    found, result = packets.broadcastPing(port)
    assert result == COMM_SUCCESS
    assert found == {id_: [1030, 47] for id_ in IDS}


def test_sdk_configures_moves_and_reads_back(sdk) -> None:
    port, packets = sdk
    assert packets.write1ByteTxRx(port, 10, 9, 0) == (COMM_SUCCESS, 0)
    assert packets.write4ByteTxRx(port, 10, 112, 100) == (COMM_SUCCESS, 0)
    assert packets.write1ByteTxRx(port, 10, 64, 1) == (COMM_SUCCESS, 0)
    assert packets.write1ByteTxRx(port, 10, 9, 250) == (COMM_SUCCESS, 7), "EEPROM is locked while the torque is on"
    assert packets.write4ByteTxRx(port, 10, 116, 4096) == (COMM_SUCCESS, 6), "beyond the position limit"
    start = packets.read4ByteTxRx(port, 10, 132)[0]
    moving = []
    for _ in range(100):
        assert packets.write4ByteTxRx(port, 10, 116, start + 150) == (COMM_SUCCESS, 0)
        moving.append(packets.read1ByteTxRx(port, 10, 122)[0])
    assert moving[0] == 1
    assert moving[-1] == 0
    position, result, error = packets.read4ByteTxRx(port, 10, 132)
    assert (result, error) == (COMM_SUCCESS, 0)
    assert abs(position - start - 150) < 30
    assert packets.read2ByteTxRx(port, 10, 120)[0] == 1000, "a hundred control periods have passed"


def test_sdk_group_transfers_agree_with_single_ones(sdk) -> None:
    port, packets = sdk
    write = GroupSyncWrite(port, packets, 116, 4)
    for i, id_ in enumerate(IDS):
        assert write.addParam(id_, list(struct.pack("<i", 2000 + i)))
    assert write.txPacket() == COMM_SUCCESS
    goals = [packets.read4ByteTxRx(port, id_, 116)[0] for id_ in IDS]
    assert goals == [2000 + i for i in range(12)]
    for fast in (False, True):
        read = GroupSyncRead(port, packets, 116, 4)
        for id_ in IDS:
            assert read.addParam(id_)
        assert (read.fastSyncRead() if fast else read.txRxPacket()) == COMM_SUCCESS
        assert [read.getData(id_, 116, 4) for id_ in IDS] == goals


def test_sdk_bulk_transfers_and_registered_writes(sdk) -> None:
    port, packets = sdk
    write = GroupBulkWrite(port, packets)
    assert write.addParam(10, 65, 1, [1])
    assert write.addParam(11, 116, 4, list(struct.pack("<i", 1234)))
    assert write.txPacket() == COMM_SUCCESS
    read = GroupBulkRead(port, packets)
    assert read.addParam(10, 65, 1)
    assert read.addParam(11, 116, 4)
    assert read.txRxPacket() == COMM_SUCCESS
    assert (read.getData(10, 65, 1), read.getData(11, 116, 4)) == (1, 1234)
    assert packets.regWriteTxRx(port, 12, 116, 4, list(struct.pack("<i", 2500))) == (COMM_SUCCESS, 0)
    assert packets.read1ByteTxRx(port, 12, 69)[0] == 1
    assert packets.read4ByteTxRx(port, 12, 116)[0] != 2500
    assert packets.action(port, 12) == COMM_SUCCESS
    time.sleep(0.05)  # the SDK does not wait for the answer to an action, but drops it with the next question
    assert packets.read4ByteTxRx(port, 12, 116)[0] == 2500
    assert packets.read1ByteTxRx(port, 12, 69)[0] == 0


def test_sdk_reboot_leaves_the_servo_limp_with_factory_ram_and_kept_eeprom(sdk) -> None:
    port, packets = sdk
    for _ in range(10):
        packets.write4ByteTxRx(port, 20, 116, 2048)
    assert packets.read2ByteTxRx(port, 20, 120)[0] == 100
    packets.write1ByteTxRx(port, 20, 9, 3)
    packets.write4ByteTxRx(port, 20, 112, 55)
    packets.write1ByteTxRx(port, 20, 64, 1)
    assert packets.reboot(port, 20) == (COMM_SUCCESS, 0)
    assert packets.read1ByteTxRx(port, 20, 64)[0] == 0
    assert packets.read4ByteTxRx(port, 20, 112)[0] == 0
    assert packets.read1ByteTxRx(port, 20, 9)[0] == 3
    assert packets.read2ByteTxRx(port, 20, 120)[0] == 0, "the tick starts again"


def test_sdk_factory_reset_keeps_what_it_is_told_to(sdk) -> None:
    port, packets = sdk
    packets.write1ByteTxRx(port, 20, 9, 3)
    assert packets.factoryReset(port, 20, 0x02) == (COMM_SUCCESS, 0)
    assert packets.ping(port, 20) == (1030, COMM_SUCCESS, 0)
    assert packets.read1ByteTxRx(port, 20, 9)[0] == 250


def test_easy_sdk_finds_and_drives_the_servos(dkitty_port: str) -> None:
    connector = dynamixel_easy_sdk.Connector(dkitty_port, BAUD)
    try:
        motors = connector.createAllMotors()
        assert sorted(motor.id for motor in motors) == IDS
        assert {motor.model_name for motor in motors} == {"xm430_w210.model"}
        motor = motors[0]
        motor.setOperatingMode(dynamixel_easy_sdk.OperatingMode.EXTENDED_POSITION)
        motor.enableTorque()
        goal = motor.getPresentPosition() + 100
        for _ in range(50):
            motor.setGoalPosition(goal)
        assert abs(motor.getPresentPosition() - goal) < 40
        group = connector.createGroupExecutor()
        for motor in motors:
            group.addCmd(motor.stageDisableTorque())
        group.executeWrite()
        assert [motor.isTorqueOn() for motor in motors] == [0] * 12
        group.clearStagedWriteCommands()
        for motor in motors:
            group.addCmd(motor.stageGetPresentPosition())
        assert None not in group.executeRead()
    finally:
        connector.closePort()


def test_rustypot_finds_configures_reads_and_reboots(dkitty_port: str) -> None:
    bus = rustypot.Xl430PyController(dkitty_port, BAUD, 0.5)
    try:
        assert all(bus.ping(id_) for id_ in IDS)
        assert bus.broadcast_scan(IDS) == dict.fromkeys(IDS, 1030)
        bus.sync_write_return_delay_time(IDS, [0] * 12)
        assert bus.sync_read_return_delay_time(IDS) == [0] * 12
        goals = [2000 + 10 * i for i in range(12)]
        bus.sync_write_goal_position(IDS, goals)
        assert bus.sync_read_goal_position(IDS) == goals
        slow = bus.sync_read_present_position(IDS)
        bus.set_fast_sync_read(True)
        assert bus.sync_read_present_position(IDS) == slow
        bus.sync_write_torque_enable(IDS, [True] * 12)
        assert bus.sync_read_torque_enable(IDS) == [True] * 12
        assert bus.reboot(10)
        assert bus.sync_read_torque_enable(IDS) == [False] + [True] * 11
    finally:
        bus.close()


def test_rustypot_is_not_answered_at_another_baud_rate(dkitty_port: str) -> None:
    bus = rustypot.Xl430PyController(dkitty_port, 57600, 0.2)
    try:
        with pytest.raises(RuntimeError):
            bus.read_present_position(10)
        bus.set_baudrate(BAUD)
        assert bus.ping(10)
    finally:
        bus.close()


def test_answers_take_their_time_on_the_wire_in_real_time(serve: Callable[..., Any], dkitty: DynamixelBus) -> None:
    """The factory's return delay alone is 12 x 500 us; nobody promises an upper bound on a busy machine."""
    dkitty.lockstep = False
    port = PortHandler(serve(dkitty, realtime=True).port)
    packets = PacketHandler(2.0)
    port.setBaudRate(BAUD)
    read = GroupSyncRead(port, packets, 132, 4)
    for id_ in IDS:
        read.addParam(id_)
    took = []
    for _ in range(20):
        start = time.monotonic()
        if read.txRxPacket() == COMM_SUCCESS:
            took.append(time.monotonic() - start)
    port.closePort()
    bytes_on_wire = 14 + 12 + 12 * (11 + 4)
    assert len(took) > 10
    assert min(took) > 12 * 500e-6 + bytes_on_wire * 10 / BAUD


def test_registers_are_where_the_vendor_says() -> None:
    """Every register of our tables against the tables that come with dynamixel-sdk."""
    from dynamixel_easy_sdk.control_table import ControlTable

    from hardware.virtual.dynamixel_table import MODELS

    for model in MODELS.values():
        theirs = ControlTable.getControlTable(model.number)
        ours = {(register.address, register.size) for register in model.registers}
        missing = {name for name, item in theirs.items() if (item.address, item.size) not in ours}
        assert missing - {"Indirect Address Read", "Indirect Data Read"} == set(), model.name
        named = {register.name: (register.address, register.size) for register in model.registers}
        for name, item in theirs.items():
            key = name.lower().replace(" ", "_").replace("(shadow)", "")
            if key in named:
                assert named[key] == (item.address, item.size), (model.name, name)
