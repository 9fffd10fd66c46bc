"""The control loop on a bus of twelve servos: its deadlines at 100 Hz, and how fast it goes beside the makers' kits.

First a gait is played for some seconds on a virtual robot in real time at 1 Mbaud: physics keep up with the clock, and
every byte takes its time on the wire. Then the same exchange (goals out; position, velocity, current, voltage and
temperature of all back) goes unpaced against a device that answers at once, with our bus, dynamixel-sdk and rustypot in
turn, several rounds each; rustypot leaves the block's bytes undecoded. Servos do not wait for other programs: where
this user may, device and host run with real-time priority. All the same it takes a machine that is idle otherwise; but
a virtual machine's idle processors are put to sleep, and woken late by a busy hypervisor, whatever runs on them. So the
gait is played twice, the second time with a program on each processor that only keeps it awake (as `idle=poll` does).

    python benchmarks/serial_loop.py --seconds 20
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import select
import statistics
import struct
import subprocess
import sys
import time
import tty
from collections.abc import Callable, Iterator

import numpy as np

from hardware import protocol2
from hardware.dynamixel import DynamixelBus
from hardware.robot import SerialRobot, bus_of
from robotps.description import load_description
from robotps.gait import gait_cycle, initial_gait
from robotps.robot import Telemetry

CYCLES, ROUNDS = 400, 15
GOAL, PRESENT, SIZE = 116, 120, 27


def paced(seconds: float) -> dict[str, object]:
    """A gait on a virtual robot in real time; what its loop was like."""
    command = [sys.executable, "-m", "robotps.cli.app", "virtual", "--robot", "dkitty", "--realtime", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as device:
        try:
            assert device.stdout is not None
            port = json.loads(device.stdout.readline())["port"]
            hurry(device.pid, 10)
            hurry(0, 20)
            description = load_description("dkitty")
            cycle = gait_cycle(description, initial_gait(description))
            with SerialRobot(description, port) as robot:
                robot.stand(cycle.standing)
                telemetry = Telemetry.of(list(robot.play(cycle, seconds)))
                timing = robot.timing
        finally:
            device.terminate()
    answered = 1.0 if telemetry.position is None else float(np.isfinite(telemetry.position).mean())
    return {
        "cycles": timing.cycles,
        "rate_hz": round(timing.rate, 1),
        "late_percent": round(100 * timing.late_starts / max(timing.cycles, 1), 2),
        "worst_late_ms": round(1000 * timing.worst_late, 2),
        "answers_percent": round(100 * answered, 2),
        "host_cpu_percent": round(100 * timing.cpu, 1),
        "scheduler": timing.scheduler,
    }


@contextlib.contextmanager
def awake() -> Iterator[None]:
    """Every processor has something to do, which gives way to anything else."""
    keepers = [
        multiprocessing.get_context("fork").Process(target=keep_awake, args=(processor,), daemon=True)
        for processor in os.sched_getaffinity(0)
    ]
    for keeper in keepers:
        keeper.start()
    try:
        yield
    finally:
        for keeper in keepers:
            keeper.terminate()


def keep_awake(processor: int) -> None:
    os.sched_setaffinity(0, {processor})
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    while True:
        pass


def hurry(process: int, priority: int) -> None:
    """Put a process before all others, if this user may."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(process, os.SCHED_FIFO, os.sched_param(priority))


def answer_at_once(master: int, ids: tuple[int, ...]) -> None:
    """A device that knows its client's one sync read after the first time, and takes everything else in silence."""
    request, answer = b"", b""
    buffer = bytearray()
    while True:
        select.select([master], [], [])
        buffer += os.read(master, 65536)
        if not answer:
            for _, instruction, parameters in protocol2.decode(bytearray(buffer)):
                if instruction == protocol2.SYNC_READ:
                    data = bytes([0]) + bytes(range(1, struct.unpack("<H", parameters[2:4])[0] + 1))
                    request = protocol2.encode(protocol2.BROADCAST, instruction, parameters)
                    answer = b"".join(protocol2.encode(id_, protocol2.STATUS, data) for id_ in ids)
        if answer and buffer.endswith(request):
            buffer.clear()
            os.write(master, answer)


def ours(port: str) -> Callable[[], None]:
    bus = bus_of(load_description("dkitty"), port)
    assert isinstance(bus, DynamixelBus)
    bus.patience = 0.3
    bus.port.open()
    goals = np.full(len(bus.ids), 2048)

    def cycle() -> None:
        assert bus.exchange(goals).answered.all()

    return cycle


def dynamixel_sdk(port: str, ids: tuple[int, ...]) -> Callable[[], None]:
    import dynamixel_sdk as sdk

    sdk.port_handler.LATENCY_TIMER = 300  # ms; its 34 ms fail on a busy machine
    handler, packets = sdk.PortHandler(port), sdk.PacketHandler(2.0)
    handler.openPort()
    handler.setBaudRate(1_000_000)
    read, write = sdk.GroupSyncRead(handler, packets, PRESENT, SIZE), sdk.GroupSyncWrite(handler, packets, GOAL, 4)
    for id_ in ids:
        read.addParam(id_)
        write.addParam(id_, [0, 8, 0, 0])

    def cycle() -> None:
        for id_ in ids:
            write.changeParam(id_, [0, 8, 0, 0])
        assert write.txPacket() == sdk.COMM_SUCCESS
        assert read.txRxPacket() == sdk.COMM_SUCCESS
        for id_ in ids:
            for address, size in ((132, 4), (128, 4), (126, 2), (144, 2), (146, 1)):
                read.getData(id_, address, size)

    return cycle


def rustypot(port: str, ids: tuple[int, ...]) -> Callable[[], None]:
    import rustypot as kit

    bus, goals = kit.Xl430PyController(port, 1_000_000, 0.5), [[0, 8, 0, 0]] * len(ids)

    def cycle() -> None:
        bus.sync_write_raw_data(list(ids), GOAL, goals)
        bus.sync_read_raw_data(list(ids), PRESENT, SIZE)

    return cycle


def unpaced() -> dict[str, float]:
    """Cycles a second of each client, the median of rounds taken in turn."""
    ids = bus_of(load_description("dkitty"), "/dev/null").ids
    kits = {
        "robotps": ours,
        "dynamixel-sdk": lambda port: dynamixel_sdk(port, ids),
        "rustypot": lambda p: rustypot(p, ids),
    }
    cycles, devices = {}, []
    for name, client in kits.items():
        master, slave = os.openpty()
        tty.setraw(slave)
        device = multiprocessing.get_context("fork").Process(target=answer_at_once, args=(master, ids), daemon=True)
        device.start()
        devices.append(device)
        cycles[name] = client(os.ttyname(slave))
    rates: dict[str, list[float]] = {name: [] for name in kits}
    for _ in range(ROUNDS):
        for name, cycle in cycles.items():
            began = time.perf_counter()
            for _ in range(CYCLES):
                cycle()
            rates[name].append(CYCLES / (time.perf_counter() - began))
    for device in devices:
        device.terminate()
    return {name: statistics.median(values) for name, values in rates.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    seconds = parser.parse_args().seconds
    for name, value in paced(seconds).items():
        print(f"{name:18} {value}")
    with awake():
        kept = paced(seconds)
    print(f"{'kept awake':18} late_percent {kept['late_percent']}, worst_late_ms {kept['worst_late_ms']}")
    rates = unpaced()
    for name, rate in rates.items():
        print(f"{name:18} {rate:.0f} cycles/s unpaced")
    print(f"{'ratio to the SDK':18} {rates['robotps'] / rates['dynamixel-sdk']:.2f}")
    print(f"{'ratio to rustypot':18} {rates['robotps'] / rates['rustypot']:.2f}")


if __name__ == "__main__":
    main()
