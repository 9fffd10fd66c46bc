"""What an identification found: a world, how sure it is of each parameter, and the distribution for the next search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from calibration.unknowns import SLOPES, Unknown
from robotps.files import write_atomically
from sim.randomization import Randomization
from sim.world import World

NORMAL_95 = 1.96


@dataclass(frozen=True)
class IdentifiedParameter:
    """One parameter of a World, under its path there, in its unit.

    low, high: the 95 % interval. at_bound: the fit ended at a bound of what was allowed. informative: the data narrowed
    the prior. A parameter that is at a bound or not informative is left at its prior: `value` is the prior's.
    """

    name: str
    unit: str
    prior: float
    value: float
    low: float
    high: float
    at_bound: bool
    informative: bool

    @property
    def identified(self) -> bool:
        """Whether `value` comes from the data."""
        return self.informative and not self.at_bound

    def table(self) -> dict[str, Any]:
        """For files and `--json`."""
        return {
            "value": self.value,
            "interval": [self.low, self.high],
            "prior": self.prior,
            "unit": self.unit,
            "at_bound": self.at_bound,
            "informative": self.informative,
        }


@dataclass(frozen=True)
class Identification:
    """A fitted world and its uncertainty.

    world: the best fit, or the prior where it was not accepted. randomization: the intervals as distributions.
    residual_before, residual_after: root mean square of what the prior world and the fitted one leave unexplained in
    trials that were not fitted, in standard deviations of a reading. accepted: whether the fit is the better of the
    two there. trials, held_out: names of those fitted and of those kept apart. speed_error_before, speed_error_after:
    root mean square error of the speeds predicted for held-out gaits, m/s; None where no speed was measured.
    """

    world: World
    randomization: Randomization
    parameters: Mapping[str, IdentifiedParameter]
    residual_before: float
    residual_after: float
    accepted: bool
    trials: Sequence[str] = ()
    held_out: Sequence[str] = ()
    speed_error_before: float | None = None
    speed_error_after: float | None = None

    def save(self, path: Path) -> None:
        """One TOML file that --world takes (the best fit) and --randomize takes (its uncertainty)."""
        world = self.world.model_dump(mode="json", exclude_defaults=True)
        fit: dict[str, Any] = {
            "residual_before": self.residual_before,
            "residual_after": self.residual_after,
            "accepted": self.accepted,
            "trials": list(self.trials),
            "held_out": list(self.held_out),
            "parameters": {name: parameter.table() for name, parameter in self.parameters.items()},
        }
        table = {
            **world,
            "randomization": self.randomization.model_dump(mode="json", exclude_defaults=True),
            "identification": fit,
        }
        head = "# --world takes the fit, --randomize the [randomization] that its intervals make\n"
        write_atomically(path, head + tomli_w.dumps(_without_none(table)))


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_without_none(inner) for inner in value]
    return value


def distributions(
    unknowns: Sequence[Unknown], parameters: Mapping[str, IdentifiedParameter], prior: Randomization | None
) -> Randomization:
    """What was identified is drawn from its interval; the rest as in the prior's distributions, or not at all."""
    table: dict[str, Any] = prior.model_dump(exclude_defaults=True) if prior else {}
    triples: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
    for unknown in unknowns:
        parameter = parameters.get(unknown.name)
        if parameter is None or not parameter.identified or unknown.name in SLOPES:
            continue
        path = unknown.name.split(".")
        drawn = _distribution(parameter, unknown)
        if path[-1].isdigit():
            triples.setdefault((path[0], path[1]), {})[int(path[-1])] = drawn
            continue
        section = table
        for key in path[:-1]:
            section = section.setdefault(key, {})
        section[path[-1]] = drawn
    for (name, field), parts in triples.items():
        believed = table.get(name, {}).get(field) or ({"choice": [0.0], "relative": "plus"},)
        believed = believed if len(believed) == 3 else 3 * tuple(believed)
        table.setdefault(name, {})[field] = [parts.get(i, believed[i]) for i in range(3)]
    _slope(table, parameters)
    return Randomization.model_validate(table)


def _distribution(parameter: IdentifiedParameter, unknown: Unknown) -> dict[str, Any]:
    """Normal with the interval as its 95 %; uniform over the interval where a normal one would leave the bounds."""
    deviation = (parameter.high - parameter.low) / (2 * NORMAL_95)
    if parameter.value - 3 * deviation > unknown.lower and parameter.value + 3 * deviation < unknown.upper:
        return {"normal": [parameter.value, deviation]}
    return {"uniform": [max(parameter.low, unknown.lower), min(parameter.high, unknown.upper)]}


def _slope(table: dict[str, Any], parameters: Mapping[str, IdentifiedParameter]) -> None:
    """A slope's two components as steepness and direction, which is any where the floor may as well be level."""
    found = [parameters[name] for name in SLOPES if name in parameters and parameters[name].identified]
    if not found:
        return
    ahead, left = (parameters[name].value if name in parameters else 0.0 for name in SLOPES)
    steep = math.degrees(math.hypot(ahead, left))
    spread = max(math.degrees(p.high - p.low) / (2 * NORMAL_95) for p in found)
    reach, heading = NORMAL_95 * spread, math.degrees(math.atan2(left, ahead))
    aside = 180.0 if reach >= steep else math.degrees(math.asin(reach / steep))
    floor = table.setdefault("floor", {})
    floor["slope_deg"] = {"uniform": [max(0.0, steep - reach), steep + reach]}
    floor["slope_heading_deg"] = {"uniform": [heading - aside, heading + aside]}
