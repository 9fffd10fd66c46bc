"""Noise on the measurement of a simulated trial, so that it is as uncertain as one on a robot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
from pydantic import Field

from robotps.files import FileModel
from robotps.trial import UNSCORED, Trial


class MeasurementNoise(FileModel):
    """speed: standard deviation of a measured speed, as a fraction of it. fall: chance that a trial ends in a fall.

    A fall happens at any moment with equal chance, and scores the distance made before it over the full duration.
    """

    speed: Annotated[float, Field(ge=0, lt=1)] = 0.0
    fall: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def measured(self, trial: Trial, seed: Sequence[int]) -> Trial:
        """A trial as it would have been measured; the same for the same seed. A fault stays what it is."""
        if trial.ending in UNSCORED or not (self.speed or self.fall):
            return trial
        generator = np.random.default_rng(np.random.SeedSequence(tuple(seed)))
        factor = 1.0 + self.speed * float(generator.standard_normal())
        ends, at = generator.random(2).tolist()
        fell = ends < self.fall and trial.ending == "finished"
        if fell:
            factor *= at
        return replace(
            trial,
            speed=trial.speed * factor,
            distance=trial.distance * factor,
            ending="fell" if fell else trial.ending,
            reason="measured as a fall: noise that was asked for" if fell else trial.reason,
        )
