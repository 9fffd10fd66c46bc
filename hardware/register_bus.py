"""Servos with a control table behind a request-and-status protocol: what Dynamixel and Feetech have in common."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hardware.bus import Bus, IntArray, Reading, ServoInfo, missing
from hardware.faults import HardwareFault, LinkLost
from hardware.packets import Codec, Register, Status
from robotps.parameters import FloatArray

ATTEMPTS = 3
FEW = 2
"""Changes of one setting that are told one by one."""
_QUICK = 0.3
"""s; whoever does not answer so soon is passed over."""
_INSIST = 0.5
"""s for torque off to be confirmed one by one; whoever is left then is told once more and not waited for."""
_FIRST_ANSWER = 1.0
"""s to wait for the first byte from a device that keeps its own time."""
_THE_REST = 0.1
"""s to wait for what is still missing of an answer that has begun: nobody is held up for longer in the middle of it."""
_NOISE = " (only noise came back: a wrong baud rate, or two servos with one id)"
_SILENT = Status(0, 0, b"")
_LISTEN_ON = 0.003
"""s to wait for a second servo answering to the same id."""


class RegisterBus(Bus):
    """Group transfers for everything that is done every cycle, single confirmed writes for the rest.

    return_delay: the longest time, s, that a servo may wait before it answers.
    """

    codec: Codec
    table: ClassVar[Mapping[str, Register]]
    block: ClassVar[tuple[int, np.dtype[np.void]]]
    return_delay = 510e-6
    alert_mask: ClassVar[int]
    """Bits of the error byte that tell of the servo's state, not of the request."""
    kept: ClassVar[tuple[str, ...]]
    """Registers that a servo keeps and a calibration depends on."""
    ping_size: ClassVar[int] = 0
    """Data bytes in the answer to a ping."""
    only_noise = False
    """Whether bytes came back from the last request, but no answer."""
    twice = False
    """Whether a servo answered the last request twice."""
    _let_go = False
    """Whether torque off was sent since the servos were last to be switched on."""

    def ask(self, request: bytes, ids: Sequence[int], size: int, patience: float | None = None) -> dict[int, Status]:
        """Send a request and gather one status of `size` data bytes from each of `ids`; silent ones are left out.

        Servos answer in the order in which they were asked: a status that another one follows which should have come
        before it is a late answer to an earlier request, and dropped.
        """
        rows, found = self._gather(request, ids, size, patience)
        if rows is None:
            return found
        return {id_: Status(id_, int(row[0]), row[1:].tobytes()) for id_, row in zip(ids, rows, strict=True)}

    def _gather(
        self, request: bytes, ids: Sequence[int], size: int, patience: float | None = None
    ) -> tuple[NDArray[np.uint8] | None, dict[int, Status]]:
        """See `ask`: in rows of the error byte and the data where all have answered, one by one where they have not."""
        self.port.drop_input()
        self.port.write(request)
        whole = len(ids) * (self.codec.STATUS_OVERHEAD + size)
        wire = (len(request) + whole) * 10 / self.port.baud
        wire += len(ids) * self.return_delay
        # whoever keeps a time of his own may be held up by other programs, and answers all the same
        first = _FIRST_ANSWER if self.own_time and patience is None else 0.0
        patience = self.patience if patience is None else patience
        deadline = time.monotonic() + wire + max(first, patience)
        order = {id_: place for place, id_ in enumerate(ids)}
        found: dict[int, Status] = {}
        buffer = bytearray()
        heard, last, echo = 0, -1, True
        self.twice = False
        while len(found) < len(ids):
            data = self.port.read(deadline)
            if first and data:
                first, deadline = 0.0, time.monotonic() + wire + min(patience, _THE_REST)
            buffer += data
            if echo:
                # a half-duplex adapter returns what was sent
                if data and len(buffer) < len(request) and request.startswith(buffer):
                    continue
                if buffer.startswith(request):
                    del buffer[: len(request)]
                echo, heard = False, len(buffer) - len(data)
            heard += len(data)
            if len(ids) > 1 and data and len(buffer) < whole and not found:
                continue
            rows = None if found else self.codec.rows(bytes(buffer), bytes(ids), size)
            if rows is not None:
                self.only_noise = False
                return rows, {}
            for status in self.codec.statuses(buffer, final=not data):
                place = order.get(status.id)
                if place is None or (len(status.data) != size and not self._refused(status)):
                    continue
                if place < last:
                    found = {id_: other for id_, other in found.items() if order[id_] < place}
                self.twice = self.twice or place == last
                last = place
                found[status.id] = status
            if not data:
                break
        self.only_noise = heard > 0 and not found
        return None, found

    def _refused(self, status: Status) -> bool:
        return bool(status.error & ~self.alert_mask and not status.data)

    def get(self, name: str, ids: Iterable[int] | None = None) -> dict[int, int]:
        """One register of several servos; raises HardwareFault naming those that stay silent."""
        register = self.table[name]
        wanted = list(self.ids if ids is None else ids)
        values: dict[int, int] = {}
        for _ in range(ATTEMPTS):
            asked = [id_ for id_ in wanted if id_ not in values]
            if not asked:
                break
            answers = self.ask(self.codec.sync_read(asked, register.address, register.size), asked, register.size)
            values |= {id_: register.decode(answer.data) for id_, answer in answers.items() if answer.data}
        silent = [id_ for id_ in wanted if id_ not in values]
        if silent:
            raise missing(self, silent)
        return {id_: values[id_] for id_ in wanted}

    def put(self, name: str, values: Mapping[int, int]) -> None:
        """Write a register of several servos, one by one and confirmed; raises HardwareFault where one refuses."""
        register = self.table[name]
        for id_, value in values.items():
            trouble = self._put(id_, register, value)
            if trouble:
                raise HardwareFault(f"{self.label(id_)}: {name.replace('_', ' ')} = {value}: {trouble}")

    def _put(
        self, id_: int, register: Register, value: int, patience: float | None = None, attempts: int = ATTEMPTS
    ) -> str:
        """Write one register; what went wrong, or nothing."""
        request = self.codec.write(id_, register.address, register.encode(value))
        for _ in range(attempts):
            answer = self.ask(request, [id_], 0, patience).get(id_)
            if answer is not None:
                error = answer.error & ~self.alert_mask
                return self.refusal(error) if error else ""
        return "no answer"

    def put_where_different(self, name: str, values: Mapping[int, int]) -> list[str]:
        """Write a register only of those servos that hold another value (EEPROM wears); what was changed."""
        held = self.get(name, values)
        changes = {id_: value for id_, value in values.items() if held[id_] != value}
        self.put(name, changes)
        return self._changed(name, held, changes)

    def _changed(self, name: str, held: Mapping[int, int], changes: Mapping[int, int]) -> list[str]:
        """A line for servos that changed alike."""
        alike: dict[tuple[int, int], list[str]] = {}
        for id_, value in changes.items():
            alike.setdefault((held[id_], value), []).append(self.label(id_))
        what = name.replace("_", " ")
        if len(alike) > FEW:
            whom = "all servos" if len(changes) == len(self.ids) else f"{len(changes)} servos"
            return [f"{what} -> each its own: {whom}"]
        return [
            f"{what} {old} -> {new}: " + ("all servos" if len(of) == len(self.ids) else ", ".join(of))
            for (old, new), of in alike.items()
        ]

    @abstractmethod
    def wanted(self, lower: IntArray, upper: IntArray) -> dict[str, dict[int, int]]:
        """The settings that a trial needs, by register and id."""

    def differences(self, lower: IntArray, upper: IntArray) -> list[str]:
        """See Bus."""
        found = []
        for name, values in self.wanted(lower, upper).items():
            held = self.get(name)
            found += self._changed(name, held, {id_: value for id_, value in values.items() if held[id_] != value})
        return found

    def put_all(self, name: str, values: Mapping[int, int]) -> None:
        """Write a register of several servos at once and read it back; those that did not take it are asked singly."""
        self.set_all(name, values)
        self.put_where_different(name, values)

    def set_all(self, name: str, values: Mapping[int, int]) -> None:
        """Write a register of several servos at once, unconfirmed."""
        register = self.table[name]
        data = {id_: register.encode(value) for id_, value in values.items()}
        self.port.write(self.codec.sync_write(register.address, data))

    @abstractmethod
    def refusal(self, error: int) -> str:
        """Why a request was refused, from the error byte."""

    @abstractmethod
    def about(self, id_: int) -> ServoInfo | None:
        """Model and firmware of a servo that answers."""

    def ping(self, id_: int) -> Status | None:
        """The answer of one servo; raises HardwareFault where two have its id."""
        request, size = self.codec.ping(id_), self.ping_size
        for _ in range(ATTEMPTS):
            answer = self.ask(request, [id_], size).get(id_)
            if answer is None or not self._another(id_):
                return answer
            time.sleep(self.patience)  # or it was a late answer to an earlier request
        raise HardwareFault(f"two servos answer as id {id_}: unplug one of them and give it another id")

    def present(self) -> int | None:
        """The first of the ids that answers, None where nobody does."""
        patience = self.patience
        for id_ in self.ids:
            if self.ask(self.codec.ping(id_), [id_], self.ping_size, patience):
                return id_
            patience = min(patience, Bus.patience)  # a device that is there has had its time
        return None

    def _another(self, id_: int) -> bool:
        """Whether a second answer came with or right after the last one."""
        extra = bytearray()
        deadline = time.monotonic() + _LISTEN_ON
        while data := self.port.read(deadline):
            extra += data
        return self.twice or any(status.id == id_ for status in self.codec.statuses(extra, final=True))

    def identify(self) -> list[ServoInfo]:
        """See Bus."""
        infos: list[ServoInfo] = []
        silent: list[int] = []
        troubles: list[str] = []
        noise = False
        if self.ids and self.present() is None:
            raise missing(self, list(self.ids), _NOISE if self.only_noise else "")
        for id_ in self.ids:
            info = self._patiently(id_, troubles)
            if info is None:
                silent.append(id_)
                noise = noise or self.only_noise
            else:
                infos.append(info)
        for model in sorted({info.model for info in infos} - {self.model}):
            those = [self.label(info.id) for info in infos if info.model == model]
            troubles.append(
                f"{', '.join(those)} {'is' if len(those) == 1 else 'are each'} a {model}, "
                f"the description says {self.model}: check the wiring's ids and servo.model"
            )
        if silent:
            troubles += [
                f"two servos seem to have id {info.id}: unplug one of them" for info in infos if self._doubled(info)
            ]
            troubles.append(str(missing(self, silent, _NOISE if noise else "")))
        if troubles:
            raise HardwareFault("\n".join(troubles))
        settings = {name: self.get(name) for name in self.kept}
        return [replace(info, settings={name: settings[name][info.id] for name in self.kept}) for info in infos]

    def _doubled(self, info: ServoInfo) -> bool:
        """Whether an id answers alike to a ping, and all at once to what differs from servo to servo: its position."""
        register = self.table["present_position"]
        request = self.codec.read(info.id, register.address, register.size)
        return all(not self.ask(request, [info.id], register.size) and self.only_noise for _ in range(2))

    def _patiently(self, id_: int, troubles: list[str]) -> ServoInfo | None:
        for _ in range(ATTEMPTS):
            try:
                info = self.about(id_)
            except LinkLost:
                raise
            except HardwareFault as fault:
                troubles.append(str(fault))
                return ServoInfo(id_, self.model)
            if info is not None:
                return info
        return None

    def scan(self) -> list[ServoInfo]:
        """Every id from 0 to 252, one after the other: about six seconds."""
        infos = []
        for id_ in range(253):
            try:
                info = self.about(id_)
            except LinkLost:
                raise
            except HardwareFault as fault:
                info = ServoInfo(id_, str(fault))
            if info is not None:
                infos.append(info)
        return infos

    def held(self) -> IntArray:
        """See Bus."""
        return np.array(list(self.get("present_position").values()), dtype=np.int64)

    def energise(self, speed: float) -> None:
        """See Bus."""
        self._let_go = False
        self.set_all("goal_position", dict(zip(self.ids, self.held().tolist(), strict=True)))
        self.set_speed_limit(speed)
        for id_ in self.ids:
            if not self._let_go:
                self.put("torque_enable", {id_: 1})
        if self._let_go:  # by another thread, or a signal, between two of these packets
            self.release_all()
            raise HardwareFault("stopped while the torque was switched on")

    def write(self, steps: IntArray) -> None:
        """See Bus."""
        self.port.write(self._goals(steps))

    def read(self) -> Reading:
        """See Bus."""
        return self.sensed(self._query)

    def exchange(self, steps: IntArray) -> Reading:
        """See Bus: both packets in one go."""
        return self.sensed(self._goals(steps) + self._query)

    def _goals(self, steps: IntArray) -> bytes:
        register = self.table["goal_position"]
        data = {id_: register.encode(value) for id_, value in zip(self.ids, steps.tolist(), strict=True)}
        return self.codec.sync_write(register.address, data)

    @cached_property
    def _query(self) -> bytes:
        """Asks for the block of present values."""
        address, layout = self.block
        return self.codec.sync_read(self.ids, address, layout.itemsize)

    @abstractmethod
    def sensed(self, request: bytes) -> Reading:
        """What the servos report to a request that ends with the one for the block of present values."""

    def answers(self, request: bytes) -> tuple[Reading, FloatArray | None, np.ndarray[tuple[int], np.dtype[np.void]]]:
        """See `sensed`: the reading so far, and the block's fields, zero where silent."""
        layout = self.block[1]
        rows, found = self._gather(request, self.ids, layout.itemsize)
        if rows is not None:
            block = np.frombuffer(rows[:, 1:].tobytes(), dtype=layout)
            return Reading(np.ones(len(rows), dtype=bool), rows[:, 0].astype(np.int64)), None, block
        statuses = [found.get(id_, _SILENT) for id_ in self.ids]
        answered = np.array([status.data != b"" for status in statuses])
        error = np.array([status.error for status in statuses], dtype=np.int64)
        blank = bytes(layout.itemsize)
        block = np.frombuffer(b"".join([status.data or blank for status in statuses]), dtype=layout)
        return Reading(answered, error), np.where(answered, 0.0, np.nan), block

    def release_all(self) -> None:
        """See Bus."""
        self._let_go = True
        register = self.table["torque_enable"]
        packet = self.codec.write(self.codec.BROADCAST, register.address, register.encode(0))
        for _ in range(3):
            self.port.write(packet)

    def release(self) -> dict[int, str]:
        """See Bus."""
        try:
            self.release_all()
        except LinkLost as lost:
            return {id_: str(lost) for id_ in self.ids}
        register = self.table["torque_enable"]
        failures = dict.fromkeys(self.ids, "no answer")
        try:
            request = self.codec.sync_read(self.ids, register.address, register.size)
            answers = self.ask(request, self.ids, register.size, min(self.patience, _QUICK))
            off = [id_ for id_, answer in answers.items() if answer.data and not register.decode(answer.data)]
            failures = {id_: "no answer" for id_ in self.ids if id_ not in off}
            # where nobody answers at all there is nothing to insist on, nor to wait for
            patience = min(self.patience, 0.1 if off else Bus.patience)
            deadline = time.monotonic() + _INSIST
            for _ in range(ATTEMPTS if off else 1):
                for id_ in list(failures):
                    left = max(0.0, min(patience, deadline - time.monotonic()))
                    failures[id_] = self._put(id_, register, 0, left, attempts=1)
                failures = {id_: trouble for id_, trouble in failures.items() if trouble}
        except LinkLost as lost:
            failures = dict.fromkeys(failures, str(lost))
        return failures
