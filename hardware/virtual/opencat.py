"""A Petoi board at the end of the line: it lets its firmware run while time passes."""

from __future__ import annotations

from collections.abc import Sequence

from hardware.virtual.opencat_firmware import Firmware
from hardware.virtual.plant import Plant
from hardware.virtual.server import Reply

BAUD = 115200
SAME_BAUD = 0.03


class OpenCatBoard:
    """lockstep: every command takes a control period or as long as its motion, and no time passes between commands."""

    def __init__(self, plant: Plant, *, lockstep: bool = False) -> None:
        self.plant = plant
        self.lockstep = lockstep
        self.firmware = Firmware(plant, timed=not lockstep)
        self._wakes_at = plant.time
        if lockstep:
            self._run_until_idle()

    @property
    def time(self) -> float:
        return self.plant.time

    def advance(self, seconds: float) -> None:
        """Let time pass for the board and the robot."""
        end = self.plant.time + seconds
        while self._wakes_at <= end:
            self._pass_until(self._wakes_at)
            self._wakes_at += self.firmware.resume()
        self._pass_until(end)

    def feed(self, data: bytes, baud: int) -> Sequence[Reply]:
        """Bytes from the host; at another baud rate the board takes them for noise."""
        if abs(BAUD / baud - 1) < SAME_BAUD if baud else False:
            self.firmware.receive(data)
        if self.lockstep:
            self._run_until_idle()
        return self.spontaneous()

    def settle(self) -> None:
        """Nothing is put off: a board answers when a motion has ended."""

    def power_cycle(self) -> None:
        """The board starts anew."""
        self.firmware.power_cycle()
        self._wakes_at = self.plant.time
        if self.lockstep:
            self._run_until_idle()

    def spontaneous(self) -> Sequence[Reply]:
        said = self.firmware.said()
        return [Reply(0.0, said)] if said else []

    def _run_until_idle(self) -> None:
        """Let the firmware carry out the commands that have come in, each for a control period at least."""
        while self.firmware.busy:
            done = self.firmware.done
            earliest = self.plant.time + self.plant.period
            while self.firmware.done == done or self._wakes_at < earliest - 1e-9:
                self._pass_until(self._wakes_at)
                self._wakes_at += self.firmware.resume()
            self._pass_until(earliest)

    def _pass_until(self, time: float) -> None:
        if time > self.plant.time:
            self.plant.advance(time - self.plant.time)
