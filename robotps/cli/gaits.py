"""From `--gait FILE|RUN|initial` to a gait."""

from __future__ import annotations

from pathlib import Path

from robotps.database import is_archive
from robotps.description import RobotDescription
from robotps.errors import RobotpsError
from robotps.gait import Gait, UnreachableGait, gait_cycle, initial_gait, load_gait


def chosen_gait(gait: str | None, description: RobotDescription) -> Gait:
    """A gait file, the best gait of a run, or the description's own start."""
    if gait is None or gait == "initial":
        return initial_gait(description)
    path = Path(gait)
    if path.is_dir() or is_archive(path):
        return best_of_run(path, description)
    loaded = load_gait(path, description)
    try:
        gait_cycle(description, loaded)
    except UnreachableGait as error:
        raise RobotpsError(f"{path}: {error}") from None
    return loaded


def best_of_run(path: Path, description: RobotDescription) -> Gait:
    """The best gait of a run; raises RobotpsError where the run is of another robot or has none yet."""
    from robotps.result import result_of
    from robotps.run import Run

    with Run.open(path) as run:
        if run.description.name != description.name:
            raise RobotpsError(f"{path}: this run tuned '{run.description.name}', not '{description.name}'")
        result = result_of(run)
    if result is None:
        raise RobotpsError(f"{path}: this run has no scored gait yet")
    return result.gait
