"""What one stage of an identification hands to the next of how its parameters hang together."""

from __future__ import annotations

import numpy as np

from calibration.fit import Estimate
from calibration.identify import _covariance
from calibration.unknowns import Unknown


def test_correlations_stay_where_a_deviation_is_kept_below_what_the_fit_left_open() -> None:
    unknowns = tuple(Unknown(name, "rad", 0.0, 1.0, -9.0, 9.0, 0.0) for name in ("a", "b", "c"))
    of_fit = np.array([[4.0, -3.7], [-3.7, 4.0]])  # of a and b; what is believed of them is 1
    estimate = Estimate(
        unknowns, np.zeros(3), np.array([1.0, 1.0, 0.5]), (0, 1), (False,) * 3, (True,) * 3, np.ones(1), 1.0, of_fit
    )
    found = _covariance(estimate, ["a", "c", "b"])
    expected = [[1.0, 0.0, -3.7 / 4], [0.0, 0.25, 0.0], [-3.7 / 4, 0.0, 1.0]]
    np.testing.assert_allclose(found, expected)
    assert np.linalg.eigvalsh(found).min() > 0
