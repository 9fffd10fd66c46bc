"""What docs/reality-gap.md shows is understood."""

from __future__ import annotations

import re
from pathlib import Path

from robotps.cli.tune_settings import TuneConfig
from robotps.description import load_description
from robotps.files import read_toml
from sim.randomization import load_randomization
from sim.world import World

PAGE = Path(__file__).parents[2] / "docs" / "reality-gap.md"


def test_the_files_that_the_page_shows_are_understood(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.S)
    randomization, tune = tmp_path / "mine.toml", tmp_path / "tune.toml"
    randomization.write_text(blocks[0])
    tune.write_text(blocks[1])
    dkitty = load_description("dkitty")
    world = load_randomization(randomization, dkitty).draw(dkitty, World(), 1)
    assert world.joints["rear_left_thigh"].strength_scale in (0.8, 1.0)
    assert len({joint.zero_offset_rad for joint in world.joints.values()}) == 12
    asked = read_toml(tune, TuneConfig)
    assert (asked.tail, asked.widen.start) == (0.5, 0.3)
