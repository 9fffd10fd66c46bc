"""The scripted person who helps a virtual robot, asked over a socket what a host would ask at the terminal.

One JSON object a line there, one back. A request has `ask`; the answer has `done`: true, or false and `error`.

| ask | what the person does | the answer also has |
|---|---|---|
| `place_at_start` | puts the robot on its feet at the start, heading along x as well as a person can | |
| `on_feet` | puts it on its feet where it is | |
| `on_stand` | hangs it in the air on a stand | |
| `change_battery` | puts in a full battery: the servos have been without power | |
| `plug_cable` | plugs the cable in again | `port` |
| `stopwatch` (`distance`, m) | timed it, or measured how far it came | `seconds`, `distance`, or both: see below |
| `confirm` | presses Enter | `text`: "" |
| `confirm` (`joint`, `about` `direction`) | says whether the joint's angle has just grown | `text`: y or n |
| `confirm` (`joint`, `about` `zero`) | says how far the joint is from its zero | `text`: degrees, "" if none |
| `save_video` (`file`) | saves what the overhead camera has filmed since the robot was put at the start | `frames` |

The first line of the stopwatch's distance lies `LINE` m ahead of where the robot stood before it walked. `seconds`:
over the whole distance. `distance`: from where it stood; with `seconds`, from the first line in that time.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hardware.virtual.camera import Camera
from hardware.virtual.lines import LineServer
from hardware.virtual.plant import Plant
from hardware.virtual.terminal import Terminal
from robotps.errors import RobotpsError
from robotps.parameters import FloatArray

LINE = 0.05
STILL, STEP = 20, 0.003
"""Control periods in which a robot that moves less than so many m stands still."""
PRESS, TAPE = 0.15, 0.01
"""Standard deviations of a person pressing when something crosses a line, s, and reading a tape, m."""
REMEMBERED = 100_000
"""Control periods that the person with the stopwatch has in mind."""
REMEMBERED_MOVE, CLEAR = 5.0, 0.1
"""s for which a joint's movement is remembered, and rad that are one: less is play and overshoot."""
SHARP = 0.6
"""degrees; whoever compares a joint with a drawing sees no less."""
PATIENCE = 6
"""Looks at a joint's zero before it is good enough."""


class Assistant:
    """Does as asked on `server.address`. power_cycle: what happens to the servos without a battery."""

    def __init__(
        self, plant: Plant, terminal: Terminal, power_cycle: Callable[[], None], camera: Camera | None = None
    ) -> None:
        self.server = LineServer(self.do)
        self._plant = plant
        self._terminal = terminal
        self._power_cycle = power_cycle
        self._camera = camera
        self._hand = np.random.default_rng(plant.seed_for_sensors())
        self._start = (0.0, 0.0)
        self._seen: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)
        self._corrected: Counter[int] = Counter()
        self._angles: deque[FloatArray] = deque([plant.body.angle.copy()], maxlen=round(REMEMBERED_MOVE / plant.period))
        plant.listeners.append(self._watch)

    def do(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do what a request asks; the answer."""
        tasks: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any] | None]] = {
            "place_at_start": self._place_at_start,
            "on_feet": lambda _: self._plant.put_on_feet(),
            "on_stand": lambda _: self._plant.put_on_stand(),
            "change_battery": self._change_battery,
            "plug_cable": self._plug_cable,
            "stopwatch": self._read_stopwatch,
            "confirm": self._confirm,
            "save_video": self._save_video,
        }
        task = tasks.get(str(request.get("ask")))
        if task is None:
            return {"done": False, "error": f"cannot do {request.get('ask')!r}: known are {', '.join(tasks)}"}
        try:
            return {"done": True, **(task(request) or {})}
        except RobotpsError as error:
            return {"done": False, "error": str(error)}

    def _place_at_start(self, _: Mapping[str, Any]) -> None:
        self._plant.put_at_start()
        x, y, _z = self._plant.body.pose.position.tolist()
        self._start = (x, y)
        self._seen.clear()
        if self._camera is not None:
            self._camera.start()

    def _change_battery(self, _: Mapping[str, Any]) -> None:
        self._plant.battery.change()
        self._power_cycle()

    def _plug_cable(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        self._terminal.plug()
        return {"port": self._terminal.port}

    def _confirm(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        names = self._plant.description.joint_names
        if request.get("joint") not in names:
            return {"text": ""}
        joint = names.index(str(request["joint"]))
        if request.get("about") == "direction":
            return {"text": "y" if self._saw_it_grow(joint) else "n"}
        away = -math.degrees(self._angles[-1][joint])
        self._corrected[joint] += 1
        return {"text": "" if abs(away) < SHARP or self._corrected[joint] % PATIENCE == 0 else f"{away:.1f}"}

    def _saw_it_grow(self, joint: int) -> bool:
        """Whether the joint's angle is greater than when it was last clearly another."""
        seen = [float(angles[joint]) for angles in reversed(self._angles)]
        return next((before < seen[0] for before in seen if abs(before - seen[0]) > CLEAR), False)

    def _save_video(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._camera is None:
            raise RobotpsError("there is no camera: start the virtual robot with --camera FILE.mp4")
        return {"frames": self._camera.save(Path(str(request.get("file", "video.mp4"))))}

    def _watch(self) -> None:
        x, y = self._plant.body.data.qpos[:2].tolist()
        self._angles.append(self._plant.body.angle.copy())
        self._seen.append((self._plant.time, math.hypot(x - self._start[0], y - self._start[1])))

    def _read_stopwatch(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        distance = float(request.get("distance", 1.0))
        seen = self._walk()
        first = next((t for t, way in seen if way >= LINE), None)
        second = next((t for t, way in seen if way >= LINE + distance), None)
        error = self._hand.standard_normal(2)
        if first is not None and second is not None:
            return {"seconds": max(0.01, second - first + PRESS * float(error[0] - error[1]))}
        way = seen[-1][1] if seen else 0.0
        if first is None:
            return {"distance": way + TAPE * float(error[0])}
        stopped = next((t for t, there in seen if there >= way - TAPE), first)
        return {
            "distance": way - LINE + TAPE * float(error[0]),
            "seconds": max(0.01, stopped - first + PRESS * float(error[1])),
        }

    def _walk(self) -> list[tuple[float, float]]:
        """Of all that was seen the motion that went farthest: when it was how far from where it had begun."""
        seen = list(self._seen)
        stretches: list[list[int]] = []
        for i in range(STILL, len(seen)):
            if abs(seen[i][1] - seen[i - STILL][1]) < STEP:
                continue
            if stretches and stretches[-1][-1] == i - 1:
                stretches[-1].append(i)
            else:
                stretches.append([i])
        if not stretches:
            return []
        begin, end = max(((s[0] - STILL, s[-1]) for s in stretches), key=lambda s: seen[s[1]][1] - seen[s[0]][1])
        return [(t, way - seen[begin][1]) for t, way in seen[begin : end + 1]]
