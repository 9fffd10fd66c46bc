"""Randomization: distributions over every field of a World, from which each trial may draw its own."""

from __future__ import annotations

import difflib
import math
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.files import FileModel, parse, read_table
from sim.world import STANDARD_GRAVITY, JointWorld, World

TRUNCATED = 3.0
"""standard deviations at which a normal distribution is cut off, so that its ends can be checked beforehand."""


NEUTRAL_JOINT = JointWorld().model_dump()

DIRECTIONS = ("slope_heading_deg",)
"""Fields that have no distance from the nominal world."""


class Distribution(FileModel):
    """One of uniform [low, high], log_uniform [low, high], normal [mean, standard deviation] or choice [values...].

    relative: the draw is multiplied with ("times") or added to ("plus") the nominal value, not taken for it.
    """

    uniform: tuple[float, float] | None = None
    log_uniform: tuple[float, float] | None = None
    normal: tuple[float, float] | None = None
    choice: tuple[float, ...] | None = Field(default=None, min_length=1)
    relative: Literal["times", "plus"] | None = None

    @model_validator(mode="after")
    def _check(self) -> Distribution:
        kinds = ("uniform", "log_uniform", "normal", "choice")
        given = [kind for kind in kinds if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of {', '.join(kinds)}")
        for name, pair in (("uniform", self.uniform), ("log_uniform", self.log_uniform)):
            if pair is not None and pair[0] > pair[1]:
                raise ValueError(f"{name} is [low, high]: {list(pair)} is the wrong way round")
        if self.log_uniform is not None and self.log_uniform[0] <= 0:
            raise ValueError(f"log_uniform needs values above 0, not {self.log_uniform[0]:g}")
        if self.normal is not None and self.normal[1] < 0:
            raise ValueError(f"normal is [mean, standard deviation], and {self.normal[1]:g} is none")
        return self

    def draw(self, generator: np.random.Generator, nominal: float) -> float:
        """One value."""
        if self.uniform is not None:
            value = float(generator.uniform(*self.uniform))
        elif self.log_uniform is not None:
            low, high = self.log_uniform
            value = min(max(math.exp(generator.uniform(math.log(low), math.log(high))), low), high)
        elif self.normal is not None:
            value = float(generator.normal())
            while abs(value) > TRUNCATED:
                value = float(generator.normal())
            value = self.normal[0] + self.normal[1] * value
        else:
            value = float(generator.choice(self.choice or ()))
        return self._placed(value, nominal)

    def absolute(self, nominal: float) -> Distribution:
        """The same draws, no longer relative to a nominal value. What was log-uniform and moved becomes uniform."""
        if self.relative is None:
            return self
        if self.normal is not None:
            mean, deviation = self.normal
            scale = abs(nominal) if self.relative == "times" else 1.0
            return Distribution(normal=(self._placed(mean, nominal), scale * deviation))
        values = tuple(sorted(self._ends(nominal)))
        if self.choice is not None:
            return Distribution(choice=values)
        if self.log_uniform is not None and self.relative == "times" and nominal > 0:
            return Distribution(log_uniform=(values[0], values[1]))
        return Distribution(uniform=(values[0], values[1]))

    def lowest(self, nominal: float) -> float:
        """The lowest value that may be drawn."""
        return min(self._ends(nominal))

    def highest(self, nominal: float) -> float:
        """The highest value that may be drawn."""
        return max(self._ends(nominal))

    def _ends(self, nominal: float) -> list[float]:
        if self.normal is not None:
            mean, spread = self.normal[0], TRUNCATED * self.normal[1]
            values: tuple[float, ...] = (mean - spread, mean + spread)
        else:
            values = self.uniform or self.log_uniform or self.choice or ()
        return [self._placed(value, nominal) for value in values]

    def _placed(self, value: float, nominal: float) -> float:
        return {"times": nominal * value, "plus": nominal + value}.get(self.relative or "", value)


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Distributions = dict[str, Annotated[tuple[Distribution, ...], BeforeValidator(_listed), Field(min_length=1)]]
"""By field. A field of three numbers takes one distribution for each, or one from which all three are drawn."""


class Randomization(FileModel):
    """Distributions under the names of a World's sections and fields; what is left out stays as in the nominal world.

    each_joint: drawn for every joint on its own; joints: for single ones, which each_joint then leaves alone.
    """

    body: Distributions = Field(default_factory=dict)
    floor: Distributions = Field(default_factory=dict)
    servo: Distributions = Field(default_factory=dict)
    each_joint: Distributions = Field(default_factory=dict)
    joints: dict[str, Distributions] = Field(default_factory=dict)
    battery: Distributions = Field(default_factory=dict)
    sensor: Distributions = Field(default_factory=dict)
    start: Distributions = Field(default_factory=dict)
    push: Distributions = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Randomization:
        for section, fields in self._sections():
            name = section.partition(".")[0]
            model = JointWorld if name in ("each_joint", "joints") else World.model_fields[name].annotation
            known = model.model_fields  # type: ignore[union-attr]
            for field, distributions in fields.items():
                if field not in known:
                    near = difflib.get_close_matches(field, known, n=1)
                    raise ValueError(
                        f"unknown key '{section}.{field}'" + (f"; the nearest known key is '{near[0]}'" if near else "")
                    )
                numbers = 3 if field == "com_offset_m" else 1
                if len(distributions) not in (1, numbers):
                    takes = "one distribution" if numbers == 1 else "one distribution or three"
                    raise ValueError(f"'{section}.{field}' takes {takes}, not {len(distributions)}")
        return self

    def draw(self, description: RobotDescription, nominal: World, seed: int, width: float = 1.0) -> World:
        """A world for this seed. Every field has a random stream of its own, so that none depends on the others.

        width: the draws' distance from the nominal world is multiplied by it, from 0 to 1.
        """
        values = nominal.filled_in(description).model_dump()
        table = nominal.model_dump()
        for path, distributions in self._paths(description):
            generator = np.random.default_rng(np.random.SeedSequence((seed, zlib.crc32(".".join(path).encode()))))
            own = 1.0 if path[-1] in DIRECTIONS else width
            _replace(table, values, path, [partial(_drawn, each, generator, own) for each in distributions])
        return _world(table, "randomization")

    def absolute(self, description: RobotDescription, nominal: World) -> Randomization:
        """The same draws around this world, no longer relative to it, joint by joint."""
        values = nominal.filled_in(description).model_dump()
        table: dict[str, Any] = {}
        for path, distributions in self._paths(description):
            numbers = _at(values, path)
            section = table
            for key in path[:-1]:
                section = section.setdefault(key, {})
            if len(numbers) > len(distributions):
                distributions = distributions * len(numbers)
            section[path[-1]] = tuple(each.absolute(n) for each, n in zip(distributions, numbers, strict=True))
        return Randomization(**table)

    def check(self, description: RobotDescription, nominal: World, source: str) -> None:
        """Raises RobotpsError where a draw could be no possible world, or names a joint the robot does not have."""
        World(joints=dict.fromkeys(self.joints, JointWorld())).check_joints(description, source)
        values = nominal.filled_in(description).model_dump()
        for path, distributions in self._paths(description):
            for end in (Distribution.lowest, Distribution.highest):
                table = nominal.model_dump()
                _replace(table, values, path, [partial(end, each) for each in distributions])
                _world(table, source)

    def _sections(self) -> Iterator[tuple[str, Distributions]]:
        for name in type(self).model_fields:
            if name != "joints":
                yield name, getattr(self, name)
        for joint, fields in self.joints.items():
            yield f"joints.{joint}", fields

    def _paths(self, description: RobotDescription) -> Iterator[tuple[tuple[str, ...], tuple[Distribution, ...]]]:
        """Where in a World every distribution applies."""
        for section, fields in self._sections():
            for field, distributions in fields.items():
                if section == "each_joint":
                    for joint in description.joint_names:
                        if field not in self.joints.get(joint, {}):
                            yield ("joints", joint, field), distributions
                else:
                    yield (*section.split("."), field), distributions


def load_randomization(
    source: str | Path, description: RobotDescription, nominal: World | None = None
) -> Randomization:
    """`default`, or distributions from a TOML file; raises RobotpsError naming the file, the key and the mend.

    nominal: the world around which it draws, if not the robot's own as described. The file of an identified world holds
    them in a table of their own, [randomization].
    """
    if str(source) == "default":
        randomization = default_randomization(description)
    else:
        table = read_table(source)
        randomization = parse(table.get("randomization", table), Randomization, str(source))
    randomization.check(description, nominal or World(), str(source))
    return randomization


def default_randomization(description: RobotDescription) -> Randomization:
    """What published work on robots of this class randomizes, scaled to this robot's size, weight and control period.

    Ranges: Tan et al. (RSS 2018), D2-GMBC's SpotMicro, ROBEL's D'Kitty. Hobby servos, which cannot be asked where they
    stand, get the wide end of what is published for zeros and latency; pushes are a tenth of Tan's for their weight,
    as a gait that does not look cannot catch itself.
    """
    hobby = description.wiring is not None and description.wiring.protocol == "opencat"
    gait = description.gait.parameters
    height = (gait["front_body_height"].initial + gait["rear_body_height"].initial) / 2
    period, weight = description.control_period, description.mass * STANDARD_GRAVITY
    zero = 0.05 if hobby else 0.02
    table: dict[str, Any] = {
        "body": {"mass_scale": _uniform(0.8, 1.2), "inertia_scale": _uniform(0.5, 1.5)},
        "floor": {
            "friction": _uniform(0.5, 1.25),
            "slope_deg": _uniform(0.0, 2.0),
            "slope_heading_deg": _uniform(0.0, 360.0),
            "roughness_m": _uniform(0.0, 0.02 * height),
        },
        "servo": {
            "strength_scale": _uniform(0.8, 1.2),
            "gain_scale": _uniform(0.9, 1.1),
            "viscous_friction": {**_uniform(0.0, 2.0), "relative": "times"},
            "coulomb_friction": {**_uniform(0.0, 2.0), "relative": "times"},
            "latency_s": _uniform(0.0, (4 if hobby else 2) * period),
        },
        "each_joint": {"zero_offset_rad": _uniform(-zero, zero)},
        "battery": {"volts": {**_uniform(0.95, 1.13), "relative": "times"}},
        "start": {"joint_noise_rad": {"choice": [0.02]}, "yaw_noise_rad": {"choice": [0.02]}},
        "push": {"force_n": _uniform(0.0, 0.3 * weight), "duration_s": {"choice": [0.06]}},
    }
    return Randomization.model_validate(table)


def _drawn(distribution: Distribution, generator: np.random.Generator, width: float, nominal: float) -> float:
    value = distribution.draw(generator, nominal)
    return value if width == 1.0 else nominal + width * (value - nominal)


def _uniform(low: float, high: float) -> dict[str, list[float]]:
    return {"uniform": [low, high]}


def _replace(
    table: dict[str, Any],
    nominal: Mapping[str, Any],
    path: tuple[str, ...],
    choose: Sequence[Callable[[float], float]],
) -> None:
    """Put into a World's table, at `path`, what `choose` makes of each nominal number there."""
    numbers = _at(nominal, path)
    choose = choose if len(choose) == len(numbers) else [choose[0]] * len(numbers)
    new = tuple(each(number) for each, number in zip(choose, numbers, strict=True))
    for key in path[:-1]:
        table = table.setdefault(key, {})
    table[path[-1]] = new if len(new) > 1 else new[0]


def _at(nominal: Mapping[str, Any], path: tuple[str, ...]) -> tuple[float, ...]:
    """The number, or the three, at a path of a World's table."""
    value: Any = nominal
    for key in path:
        value = value.get(key, NEUTRAL_JOINT) if value is nominal["joints"] else value[key]
    return value if isinstance(value, tuple) else (value,)


def _world(table: dict[str, Any], source: str) -> World:
    try:
        return World.model_validate(table)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise RobotpsError(
            f"{source}: '{key}' could be drawn as {problem['input']}: {problem['msg']}; narrow its distribution"
        ) from None
