"""The gap between nominal simulation and virtual robots: one as it is described, others drawn by seed.

Prints for each the error of simulated speeds as a share of the real ones, and in how many windows the simulation
lemma's bound held; draws docs/gap.png for the last one. About five minutes each on two cores.

    nice python benchmarks/gap.py [--seeds 0] [--gaits 6] [--out docs]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import tomli_w
from adaptation import ROBOT, answer, drawn_reality, virtual_robot

from robotps.description import load_description


def main() -> None:
    """Take the same gaits on every robot, and compare."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, nargs="*", default=[0])
    arguments.add_argument("--gaits", type=int, default=6)
    arguments.add_argument("--out", type=Path, default=Path("docs"))
    given = arguments.parse_args()
    plot = given.out.resolve() / "gap.png"
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # the runs are not kept
        for seed in [None, *given.seeds]:
            reality = Path("reality.toml")
            table = {} if seed is None else drawn_reality(load_description(ROBOT), seed)
            reality.write_text(tomli_w.dumps(table))
            with virtual_robot(reality) as there:
                asked = ["--gaits", str(given.gaits), "--seconds", "2", "--plot", str(plot)]
                found = answer(["gap", *there, *asked])
            held, windows = found["value_gap_bound_held"]
            name = "as described" if seed is None else f"reality {seed}"
            print(
                f"{found['relative_error']:.2f}  {name}: speeds off by this share ({found['size']}); rank correlation "
                f"{found['spearman']:.2f}; one step ahead {1000 * found['one_step_error']:.1f} mrad; value gap "
                f"{found['value_gap']:+.3f}, bound held in {held} of {windows} windows",
                flush=True,
            )


if __name__ == "__main__":
    main()
