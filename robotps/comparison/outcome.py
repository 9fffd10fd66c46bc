"""What one run of a comparison found on its way, and what the runs of a search say together."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from robotps.comparison.checkpoints import Checkpoint
from robotps.errors import RobotpsError
from robotps.files import FileModel, parse
from robotps.parameters import FloatArray

OUTCOME = "checkpoints.json"

Quartiles = tuple[float, float, float]
"""Lower quartile, median and upper quartile."""


class Outcome(FileModel):
    """One search on one robot with one seed. wall_seconds: of its trials and its own arithmetic, by the clock."""

    robot: str
    search: str
    seed: int
    wall_seconds: float
    checkpoints: tuple[Checkpoint, ...]

    def speed_after(self, trials: float) -> float:
        """m/s of the gait recommended after so many trials."""
        return [point.speed for point in self.checkpoints if point.trials <= trials][-1]

    def speed_at(self, minutes: float) -> float:
        """m/s of the gait recommended after so many minutes of walking."""
        return [point.speed for point in self.checkpoints if point.minutes <= minutes][-1]

    def reached(self, speed: float) -> Checkpoint | None:
        """The first checkpoint from which on every gait recommended is as fast."""
        found = None
        for point in reversed(self.checkpoints):
            if point.speed < speed:
                break
            found = point
        return found


def outcomes_in(folder: Path) -> list[Outcome]:
    """The outcomes of all runs that are done; raises RobotpsError for a damaged one."""
    found = []
    for path in sorted(folder.glob(f"*/{OUTCOME}")):
        try:
            found.append(parse(json.loads(path.read_text()), Outcome, str(path)))
        except (OSError, ValueError) as error:
            raise RobotpsError(f"{path}: cannot be read ({error}): remove it, and --resume makes it again") from None
    return found


@dataclass(frozen=True)
class Summary:
    """A search on a robot over its seeds. None: not reached in more than half of the seeds.

    start, final: m/s. trials, minutes: until it was at the target for good, medians over seeds. reached: seeds that
    came there.
    """

    robot: str
    search: str
    seeds: int
    start: float
    final: Quartiles
    target: float
    trials_to_target: float | None
    minutes_to_target: float | None
    reached: int
    wall_seconds: float


def summaries(
    outcomes: Sequence[Outcome], robots: Sequence[str], searches: Sequence[str], target: float | None
) -> list[Summary]:
    """A summary of every search that has an outcome, robot by robot, in the order given.

    target: m/s; None: the final median of the search kohl-stone, else nine tenths of the best.
    """
    found = []
    for robot in robots:
        of = {name: [o for o in outcomes if (o.robot, o.search) == (robot, name)] for name in searches}
        of = {name: some for name, some in of.items() if some}
        finals = {name: quartiles([o.checkpoints[-1].speed for o in some]) for name, some in of.items()}
        if not finals:
            continue
        published = [final[1] for name, final in finals.items() if name.partition(":")[0] == "kohl-stone"]
        goal = target if target is not None else (published or [0.9 * max(f[1] for f in finals.values())])[0]
        for name, some in of.items():
            hits = [o.reached(goal) for o in some]
            found.append(
                Summary(
                    robot=robot,
                    search=name,
                    seeds=len(some),
                    start=float(np.median([o.checkpoints[0].speed for o in some])),
                    final=finals[name],
                    target=goal,
                    trials_to_target=_median([math.inf if hit is None else hit.trials for hit in hits]),
                    minutes_to_target=_median([math.inf if hit is None else hit.minutes for hit in hits]),
                    reached=sum(hit is not None for hit in hits),
                    wall_seconds=float(np.median([o.wall_seconds for o in some])),
                )
            )
    return found


def curve(outcomes: Sequence[Outcome], along: FloatArray, minutes: bool = False) -> FloatArray:
    """Quartiles of the recommended gait's speed over seeds, after numbers of trials (or minutes), shape (k, 3)."""
    return np.array(
        [quartiles([o.speed_at(x) if minutes else o.speed_after(x) for o in outcomes]) for x in along.tolist()]
    )


def quartiles(values: Sequence[float]) -> Quartiles:
    """Lower quartile, median, upper quartile."""
    low, middle, high = np.percentile(values, [25, 50, 75]).tolist()
    return low, middle, high


def _median(values: Sequence[float]) -> float | None:
    ordered = sorted(values)
    lower, upper = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return None if math.isinf(upper) else (lower + upper) / 2
