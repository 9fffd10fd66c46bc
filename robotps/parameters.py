"""Named quantities with a unit, a step and bounds: what gaits, worlds and identification are searched over."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from robotps.errors import RobotpsError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Parameter:
    """One quantity. `step` is the smallest change worth trying (epsilon in Kohl & Stone), in the parameter's unit."""

    name: str
    unit: str
    initial: float
    step: float
    lower: float
    upper: float
    frozen: bool = False

    def __post_init__(self) -> None:
        for key in ("initial", "step", "lower", "upper"):
            if not math.isfinite(getattr(self, key)):
                raise RobotpsError(f"parameter {self.name}: {key} must be a finite number, it is {getattr(self, key)}")
        if self.step <= 0:
            raise RobotpsError(f"parameter {self.name}: step must be above 0, it is {self.step}")
        if not self.lower <= self.initial <= self.upper:
            raise RobotpsError(
                f"parameter {self.name}: initial {self.initial:g} {self.unit} must lie between its bounds "
                f"in the robot's description, lower {self.lower:g} and upper {self.upper:g}"
            )


@dataclass(frozen=True)
class ParameterSpace:
    """An ordered set of parameters, and the way between their values and a search's vector.

    A vector has one float64 entry for every parameter that is not frozen, shape (n,): the distance from the initial
    value in units of `step`, so that the start is the zero vector and one unit is one step in every direction.
    """

    parameters: tuple[Parameter, ...]

    def __post_init__(self) -> None:
        names = [parameter.name for parameter in self.parameters]
        if len(set(names)) != len(names):
            raise RobotpsError(f"parameter names must differ: {', '.join(names)}")

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        """Number of free parameters, the length of a vector."""
        return len(self.free)

    @cached_property
    def free(self) -> tuple[Parameter, ...]:
        return tuple(parameter for parameter in self.parameters if not parameter.frozen)

    @cached_property
    def _initial(self) -> FloatArray:
        return np.array([parameter.initial for parameter in self.free])

    @cached_property
    def _step(self) -> FloatArray:
        return np.array([parameter.step for parameter in self.free])

    @cached_property
    def lower(self) -> FloatArray:
        """Lower bounds of a vector, shape (n,), in steps."""
        return (np.array([parameter.lower for parameter in self.free]) - self._initial) / self._step

    @cached_property
    def upper(self) -> FloatArray:
        """Upper bounds of a vector, shape (n,), in steps."""
        return (np.array([parameter.upper for parameter in self.free]) - self._initial) / self._step

    @property
    def start(self) -> FloatArray:
        """The vector of the initial values, zeros (n,)."""
        return np.zeros(len(self))

    def values(self, vector: FloatArray) -> dict[str, float]:
        """All parameters by name, in their units, inside their bounds; frozen ones keep their initial value."""
        if vector.shape != (len(self),):
            raise ValueError(f"a vector of this space has shape ({len(self)},), not {vector.shape}")
        result = {parameter.name: parameter.initial for parameter in self.parameters}
        for parameter, steps in zip(self.free, vector.tolist(), strict=True):
            value = parameter.initial + steps * parameter.step
            result[parameter.name] = min(max(value, parameter.lower), parameter.upper)
        return result

    def vector(self, values: Mapping[str, float]) -> FloatArray:
        """The vector of named values; parameters left out are at their initial value. Shape (n,), in steps."""
        self._check_names(values)
        given = np.array([values.get(parameter.name, parameter.initial) for parameter in self.free])
        return (given - self._initial) / self._step

    def starting_at(self, values: Mapping[str, float]) -> ParameterSpace:
        """The same space from another start; raises RobotpsError for an unknown name or a value out of bounds."""
        self._check_names(values)
        return ParameterSpace(
            tuple(replace(parameter, initial=values.get(parameter.name, parameter.initial)) for parameter in self)
        )

    def _check_names(self, values: Mapping[str, float]) -> None:
        known = [parameter.name for parameter in self.parameters]
        for name in values:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                raise RobotpsError(f"unknown parameter '{name}'" + (f"; the nearest is '{near[0]}'" if near else ""))
