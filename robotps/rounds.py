"""What an adaptation notes in its run, round by round: the simulation it believed in, and what that expected."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from robotps.errors import RobotpsError
from robotps.files import FileModel, parse
from robotps.parameters import FloatArray
from robotps.run import Run, TrialRecord

SEARCH = "adapt"
"""Name under which an adaptation's run keeps what it was asked, as searches do."""


class Plan(FileModel):
    """What an adaptation is asked beside a tuning run's settings.

    rounds: before fine-tuning. planning_trials: simulated trials for each physical one, 0: none. identify: whether each
    round does; otherwise the simulation stays as begun, and only its difference to reality is learned. world,
    randomization: the simulation begun with, and what is not known of it.
    """

    rounds: Annotated[int, Field(ge=1)] = 3
    planning_trials: Annotated[int, Field(ge=0)] = 100
    identify: bool = True
    world: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
    randomization: dict[str, Any] = {}  # noqa: RUF012


@dataclass(frozen=True)
class Model:
    """A simulation as identified before a round. parameters: by name, tables with value, interval, unit.

    world, randomization: what --world and --randomize take. residual_before, residual_after: of held-out trials, with
    the world begun with and with this one. seconds: that identification took.
    """

    world: dict[str, Any]
    randomization: dict[str, Any]
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    residual_before: float | None = None
    residual_after: float | None = None
    accepted: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Round:
    """The gaits that a round sent to the robot. kind: round, or fine-tuning with the last round's model.

    vectors: (m, n), in steps. reasons: why each was sent: fast, teaching, or again where nothing new was safe.
    simulated, spread: mean and standard deviation of each one's score over the simulated worlds; corrected: the mean
    with what was known of its difference to reality. before: mean simulated scores, in the same worlds, of all gaits
    the robot had walked before, the start first. These are empty without a simulation. planning: trials in simulation.
    seconds: until the gaits were chosen.
    """

    number: int
    kind: str
    vectors: list[list[float]]
    reasons: list[str]
    simulated: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    corrected: list[float] = field(default_factory=list)
    before: list[float] = field(default_factory=list)
    planning: int = 0
    seconds: float = 0.0

    def matrix(self) -> FloatArray:
        """The gaits, (m, n)."""
        return np.array(self.vectors, dtype=np.float64)


def is_adaptation(run: Run) -> bool:
    """Whether a run is an adaptation."""
    return bool((run.meta("settings") or {}).get("search") == SEARCH)


def plan_of(run: Run) -> Plan:
    """What an adaptation was asked; raises RobotpsError where that is damaged or of another version."""
    return parse(run.meta("adaptation") or {}, Plan, str(run.path))


def write_model(run: Run, number: int, model: Model) -> None:
    """Note what was identified before a round."""
    run.set_meta(f"model {number}", asdict(model))


def read_model(run: Run, number: int) -> Model | None:
    """The model of a round; None where there is none yet."""
    model: Model | None = _read(run, f"model {number}", Model)
    return model


def write_round(run: Run, round_: Round) -> None:
    """Note what a round sends, before any of it is tried."""
    run.set_meta(f"round {round_.number}", asdict(round_))


def read_round(run: Run, number: int) -> Round | None:
    """What was noted of a round; None where it has not begun."""
    noted: Round | None = _read(run, f"round {number}", Round)
    return noted


def rounds_of(run: Run) -> list[tuple[Round, Model | None]]:
    """All rounds so far, each with the model it had (that of the last round before it, where it made none)."""
    found: list[tuple[Round, Model | None]] = []
    model = None
    while (noted := read_round(run, len(found))) is not None:
        model = read_model(run, noted.number) or model
        found.append((noted, model))
    return found


def tables(run: Run) -> list[dict[str, Any]]:
    """Each round for people and programs: its physical trials, their best mean speed and what was expected of them.

    error: root mean square of simulated less real score of its gaits; bias: mean; corrected_error: with what was known
    of the difference beforehand.
    """
    rows = []
    for noted, model in rounds_of(run):
        trials = run.trials("search", noted.number)
        by_gait: dict[int, list[TrialRecord]] = {}
        for trial in trials:
            if trial.score is not None:
                by_gait.setdefault(trial.candidate.position, []).append(trial)
        speeds = [float(np.mean([trial.metrics["speed"] for trial in group])) for group in by_gait.values()]
        real = {position: float(np.mean([trial.score for trial in group])) for position, group in by_gait.items()}
        missed = _less(noted.simulated, real)
        corrected = _less(noted.corrected, real)
        rows.append(
            {
                "round": noted.number + 1,
                "kind": noted.kind,
                "robot_trials": len(trials),
                "best_robot_speed": max(speeds, default=None),
                "error": _rms(missed),
                "bias": float(np.mean(missed)) if missed else None,
                "corrected_error": _rms(corrected),
                "simulated_trials": noted.planning,
                "parameters": {} if model is None else model.parameters,
            }
        )
    return rows


def _less(simulated: list[float], real: dict[int, float]) -> list[float]:
    """Simulated less real scores of the gaits that have both, by their place in a round."""
    return [simulated[place] - score for place, score in real.items() if place < len(simulated)]


def _rms(values: list[float]) -> float | None:
    return float(np.sqrt(np.mean(np.square(values)))) if values else None


def _read(run: Run, key: str, kind: type[Any]) -> Any:
    table = run.meta(key)
    if table is None:
        return None
    try:
        return kind(**table)
    except TypeError as error:
        raise RobotpsError(f"{run.path}: what is noted under '{key}' is of another version ({error})") from None
