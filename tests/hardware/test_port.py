"""Opening a port says what is wrong and what to do; losing it is always one kind of exception."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hardware import port as port_module
from hardware.faults import LinkLost
from hardware.port import Port
from robotps.errors import RobotpsError
from robotps.robot import RobotFault


def test_bytes_go_both_ways(device) -> None:
    device.answer = lambda request: request[::-1]
    port = Port(device.name, 1_000_000)
    port.open()
    port.write(b"abc")
    assert port.read(time.monotonic() + 2) == b"cba"
    port.close()
    port.close()


def test_no_such_port_lists_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(port_module, "serial_ports", lambda: ["/dev/ttyUSB7"])
    with pytest.raises(RobotpsError, match=r"no port /dev/ttyNOPE.*ttyUSB7"):
        Port("/dev/ttyNOPE", 115200).open()


def test_a_file_is_not_a_serial_port(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RobotpsError, match="not a serial port"):
        Port(str(tmp_path / "file"), 115200).open()


def test_a_port_is_opened_once_and_says_who_has_it(device) -> None:
    first, second = Port(device.name, 115200), Port(device.name, 115200)
    first.open()
    with pytest.raises(RobotpsError, match="in use"):
        second.open()
    first.close()
    second.open()
    second.close()


def test_no_permission_says_which_group(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(port_module, "_group_of", lambda name: "uucp")
    with pytest.raises(RobotpsError, match=r"group 'uucp'.*usermod -aG uucp"):
        Port("/dev/ttyUSB0", 115200).open()


@pytest.mark.parametrize("call", ["read", "write", "drop_input"])
def test_a_pulled_cable_is_a_lost_link_whatever_was_being_done(device, call: str) -> None:
    port = Port(device.name, 115200)
    port.open()
    device.unplug()
    calls = {
        "read": lambda: port.read(time.monotonic() + 0.2),
        "write": lambda: port.write(b"x"),
        "drop_input": port.drop_input,
    }
    with pytest.raises(LinkLost, match="cable"):
        calls[call]()
    port.close()


def test_a_device_that_takes_no_bytes_is_a_lost_link_and_not_a_hang() -> None:
    master, slave = os.openpty()
    port = Port(os.ttyname(slave), 115200)
    port.open()
    with pytest.raises(LinkLost, match="takes no more bytes"):
        port.write(bytes(1_000_000))
    port.close()
    os.close(master)
    os.close(slave)


def test_a_closed_port_is_a_lost_link() -> None:
    with pytest.raises(LinkLost, match="not open"):
        Port("/dev/null", 115200).write(b"x")


def test_a_lost_link_is_a_fault_in_a_trial_and_a_message_elsewhere() -> None:
    assert issubclass(LinkLost, RobotFault)
    assert issubclass(LinkLost, RobotpsError)


def test_an_adapter_is_known_by_its_lasting_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "by-id").mkdir()
    (tmp_path / "ttyUSB0").touch()
    link = tmp_path / "by-id" / "usb-FTDI_U2D2"
    link.symlink_to(tmp_path / "ttyUSB0")
    monkeypatch.setattr(port_module, "BY_ID", tmp_path / "by-id")
    assert port_module.stable_name(str(tmp_path / "ttyUSB0")) == str(link)
    assert port_module.stable_name(str(tmp_path / "ttyUSB1")) == str(tmp_path / "ttyUSB1")
