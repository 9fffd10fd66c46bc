"""A whole virtual robot: plant, bus, terminal, motion capture and the person who helps."""

from __future__ import annotations

from types import TracebackType
from typing import Literal

from typing_extensions import Self

from hardware.virtual.assistant import Assistant
from hardware.virtual.camera import Camera
from hardware.virtual.dynamixel import DynamixelBus
from hardware.virtual.faults import Faults, FaultyDevice
from hardware.virtual.feetech import FeetechBus
from hardware.virtual.motion_capture import MotionCapture
from hardware.virtual.opencat import OpenCatBoard
from hardware.virtual.plant import Plant
from hardware.virtual.reality import Reality
from hardware.virtual.server import Server
from hardware.virtual.terminal import Terminal
from robotps.description import RobotDescription
from robotps.errors import RobotpsError

Protocol = Literal["dynamixel", "feetech", "opencat"]
BUSES: dict[str, type[DynamixelBus] | type[FeetechBus] | type[OpenCatBoard]] = {
    "dynamixel": DynamixelBus,
    "feetech": FeetechBus,
    "opencat": OpenCatBoard,
}


class VirtualRobot:
    """A robot of a description at `port`; a context manager that serves it in a thread, or `run` it in this one.

    protocol: what its servos speak; the wiring's by default. film: whether an overhead camera looks on (`camera`).
    Raises RobotpsError for a description without wiring.
    """

    def __init__(
        self,
        description: RobotDescription,
        *,
        protocol: Protocol | None = None,
        reality: Reality | None = None,
        faults: Faults | None = None,
        realtime: bool = True,
        seed: int = 0,
        film: bool = False,
    ) -> None:
        if description.wiring is None:
            raise RobotpsError(
                f"{description.name}: the description has no [wiring]: a virtual robot needs its protocol and ids"
            )
        self.plant = Plant(description, reality, seed)
        self.bus = BUSES[protocol or description.wiring.protocol](self.plant, lockstep=not realtime)
        self.terminal = Terminal(description.name)
        self._motion_capture = MotionCapture(self.plant)
        self.camera = Camera(self.plant) if film else None
        self._assistant = Assistant(self.plant, self.terminal, self.bus.power_cycle, self.camera)
        services = (self._motion_capture.server, self._assistant.server)
        self.faulty = FaultyDevice(self.bus, self.terminal, faults or Faults(), lockstep=not realtime)
        device = self.faulty if faults else self.bus
        self._server = Server(self.terminal, device, realtime=realtime, services=services)

    @property
    def port(self) -> str:
        """What a host opens."""
        return self.terminal.port

    @property
    def position_stream(self) -> str:
        """HOST:PORT of the motion capture."""
        return self._motion_capture.server.address

    @property
    def assistant(self) -> str:
        """HOST:PORT of the person."""
        return self._assistant.server.address

    @property
    def slipped(self) -> float:
        """s by which physics has fallen behind the clock for good."""
        return self._server.slipped

    def unplug(self) -> None:
        """Pull the cable."""
        self._server.do(self.terminal.unplug)

    def plug(self) -> None:
        """Plug it in again."""
        self._server.do(self.terminal.plug)

    def run(self) -> None:
        """Serve until `stop` is called, from a signal handler or another thread."""
        self._server.run()

    def stop(self) -> None:
        self._server.stop()

    def close(self) -> None:
        """Stop serving; the port is gone."""
        self._server.close()
        self._motion_capture.server.close()
        self._assistant.server.close()
        self.terminal.close()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
