"""What a person gets wrong: one message that names file, key and mend, exit status 1 or 2, and nothing half written."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from robotps.cli.app import app
from robotps.database import DATABASE, SCHEMA_VERSION

DOCS = Path(__file__).parents[3] / "docs"
Edit = tuple[str, str]
"""What stands in a good file, and what a person wrote instead."""

QUICK = ("--config", "quick.toml", "--workers", "1")
QUICKLY = """
search = "kohl-stone"
iterations = 1
confirm = 2
finalists = 1
options = { policies = 2 }
trial = { seconds = 0.1, warm_up = 0.05 }
"""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("quick.toml").write_text(QUICKLY)


@pytest.fixture
def dkitty() -> str:
    """The description of a D'Kitty, as a person who copies it gets it."""
    return CliRunner().invoke(app, ["robots", "show", "dkitty"]).stdout


def _files() -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in Path().rglob("*") if file.is_file()}


def _refused(command: str, *told: str, status: int = 1) -> None:
    """The command ends with this status and says all of this; every file is as it was, and no folder is new."""
    before, folders = _files(), {folder for folder in Path().rglob("*") if folder.is_dir()}
    result = CliRunner().invoke(app, command.split())
    assert isinstance(result.exception, SystemExit), f"{command}: {result.exception!r}"
    assert result.exit_code == status, result.stderr
    assert "Traceback" not in result.stderr
    assert result.stdout == ""
    for part in told:
        assert part in result.stderr
    assert _files() == before
    assert {folder for folder in Path().rglob("*") if folder.is_dir()} == folders


ROBOT_MISTAKES: list[tuple[Edit, tuple[str, ...]]] = [
    (("stall_torque = 3.0", "stall_torqe = 3.0"), ("unknown key 'servo.stall_torqe'", "'stall_torque'")),
    (("stall_torque = 3.0", 'stall_torque = "3 N m"'), ("'servo.stall_torque'", "number, in SI units", "'3 N m'")),
    (("stall_torque = 3.0", "stall_torque = 30000.0\nvoltage = true"), ("'servo.voltage'", "number")),
    (("mass = 0.72", "mass = nan"), ("'body.mass'", "finite", "nan")),
    (("mass = 0.72", "mass = -0.72"), ("'body.mass'", "greater than 0", "-0.72")),
    (("[gait.parameters.period]\n", "[gait.parameters.perod]\n"), ("perod", "nearest: 'period'")),
    (("lower = 0.25\n", "lower = 0.0\n"), ("'period'", "lower must be above 0")),
    (("[servo]\n", "[servo\n"), ("not valid TOML", "line")),
]


@pytest.mark.parametrize(("edit", "told"), ROBOT_MISTAKES)
def test_a_mistake_in_a_description_is_told_by_every_verb_that_reads_it(
    dkitty: str, edit: Edit, told: tuple[str, ...]
) -> None:
    if "voltage" in edit[1]:
        dkitty = dkitty.replace("voltage = 12.0\n", "")
    assert edit[0] in dkitty
    Path("mine.toml").write_text(dkitty.replace(*edit))
    for verb in ("tune --robot", "trial --robot", "robots check", "robots show"):
        _refused(f"{verb} mine.toml", "mine.toml", *told)


def test_a_misspelt_key_is_not_told_as_missing_too(dkitty: str) -> None:
    Path("mine.toml").write_text(dkitty.replace("stall_torque", "stall_torqe"))
    result = CliRunner().invoke(app, ["robots", "check", "mine.toml"])
    assert len(result.stderr.splitlines()) == 1


GAIT_MISTAKES = [
    ("period = 0", ("'period'", "above 0", "0")),
    ("front_body_height = -0.1", ("'front_body_height'", "above 0", "-0.1")),
    ("front_locus_height = -0.02", ("'front_locus_height'", "above 0", "-0.02")),
    ("ground_fraction = 1.0", ("'ground_fraction'", "below 1")),
    ("front_body_height = 2.0", ("front_left leg", "reaches no point of its locus", "check body heights")),
    ("period = nan", ("'parameters.period'", "finite")),
    ("period = inf", ("'parameters.period'", "finite")),
    ('period = "500 ms"', ("'parameters.period'", "number, in SI units", "'500 ms'")),
    ("perod = 0.5", ("'perod'", "the nearest is 'period'")),
]


@pytest.mark.parametrize(("line", "told"), GAIT_MISTAKES)
def test_a_mistake_in_a_gait_file_is_told(line: str, told: tuple[str, ...]) -> None:
    Path("gait.toml").write_text(f'family = "trot"\n[parameters]\n{line}\n')
    _refused("trial --gait gait.toml", "gait.toml", *told)
    _refused("tune --from gait.toml", "gait.toml", *told)


def test_a_gait_of_another_robot_or_family_or_from_beyond_the_bounds_is_told() -> None:
    Path("gait.toml").write_text('robot = "bittle"\n[parameters]\nperiod = 0.5\n')
    _refused("trial --gait gait.toml", "gait.toml", "'bittle'", "'dkitty'", "--robot bittle")
    Path("gait.toml").write_text('family = "gallop"\n')
    _refused("trial --gait gait.toml", "gait.toml", "'family'", "'trot'", "'gallop'")
    Path("gait.toml").write_text("[parameters]\nperiod = 9.0\n")
    _refused("tune --from gait.toml", "gait.toml", "period", "upper 1.5")


URDF_MISTAKES: list[tuple[Edit, tuple[str, ...]]] = [
    (("pybullet_data:a1/a1.urdf", "nowhere.urdf"), ("'urdf'", "there is no file", "nowhere.urdf")),
    (("FL_lower_joint", "FL_lowr_joint"), ("legs.front_left", "no joint 'FL_lowr_joint'", "FL_lower_joint")),
    (
        ('  { name = "calf", urdf = "FL_lower_joint" },\n', ""),
        ("legs.front_left", "'FL_toe_fixed' does not follow on link 'FL_upper'"),
    ),
]


@pytest.mark.parametrize(("edit", "told"), URDF_MISTAKES)
def test_a_urdf_that_is_missing_or_does_not_fit_is_told(edit: Edit, told: tuple[str, ...]) -> None:
    text = (DOCS / "a1.toml").read_text()
    assert edit[0] in text
    Path("mine.toml").write_text(text.replace(*edit, 1))
    for verb in ("tune --robot", "robots check"):
        _refused(f"{verb} mine.toml", "mine.toml", *told)


def test_a_joint_in_no_leg_is_named() -> None:
    import pybullet_data

    urdf = (Path(pybullet_data.getDataPath()) / "a1" / "a1.urdf").read_text()
    assert '<joint name="imu_joint" type="fixed">' in urdf
    Path("tail.urdf").write_text(urdf.replace('name="imu_joint" type="fixed"', 'name="tail_joint" type="revolute"'))
    Path("mine.toml").write_text((DOCS / "a1.toml").read_text().replace("pybullet_data:a1/a1.urdf", "tail.urdf"))
    _refused("robots check mine.toml", "mine.toml", "joints that are in no leg: tail_joint", "make them fixed")


FLAGS = [
    ("tune --workers 0", ("--workers must be at least 1, it is 0",), 1),
    ("tune --workers two", ("--workers", "integer"), 2),
    ("tune --wrokers 2", ("--wrokers", "--workers"), 2),
    ("tune --iterations 0", ("--iterations", "1"), 1),
    ("tune --search kohl-stone --policies 1", ("policies must be at least 2",), 1),
    ("tune --seconds nan", ("--seconds", "finite"), 1),
    ("tune --search kohl-stone --budget 5", ("a budget of 5 trials is too small", "it takes 29"), 1),
    ("tune --search kohl-stoen", ("'kohl-stoen'", "kohl-stone"), 1),
    ("tune --executor dusk", ("--executor dusk", "processes"), 1),
    ("tune --on serail:/dev/x", ("--on serail:/dev/x", "serial:PORT"), 1),
    ("tune --on serial:/dev/nothing --odometer video:walk.mp4 --yes", ("/dev/nothing",), 1),
    ("tune --robot dkity", ("'dkity'", "did you mean 'dkitty'"), 1),
    ("tune --robot nothing.toml", ("nothing.toml", "no such file"), 1),
    ("tune --from nothing.toml", ("nothing.toml", "no such file"), 1),
    ("tune --world nothing.toml", ("nothing.toml", "no such file"), 1),
    ("tune --config nothing.toml", ("nothing.toml", "no such file"), 1),
    ("tune --resume", ("no run under logs/", "--run"), 1),
    ("tune --resume --seed 3", ("leave out --seed",), 1),
    ("trial --seconds -1", ("'seconds'", "greater than 0"), 1),
    ("tune --odometer stopwatch", ("--odometer stopwatch", "physical robots"), 1),
    ("trial --odometer stopwatch", ("--odometer stopwatch", "physical robots"), 1),
    ("tune --on serial:/dev/nothing --executor dask:local", ("--executor dask:local", "simulated trials"), 1),
    ("trial --return", ("--return", "physical robots"), 1),
    ("tune --pace device", ("--pace device", "physical robots"), 1),
    ("tune --assistant host:1", ("--assistant", "physical robots"), 1),
    ("tune --on serial:/dev/nothing --odometer stopwatch --yes", ("--odometer stopwatch", "leave out --yes"), 1),
    ("tune --on dask:host:1 --odometer camera:0", ("--odometer", "have their own"), 1),
    ("trial --repeats 0", ("--repeats",), 2),
    ("gallop", ("gallop",), 2),
]  # fmt: skip


@pytest.mark.parametrize(("command", "told", "status"), FLAGS)
def test_a_mistaken_flag_is_told_and_leaves_no_run(command: str, told: tuple[str, ...], status: int) -> None:
    _refused(command, *told, status=status)


CONFIGS = [
    ('searhc = "cem"', ("unknown key 'searhc'", "'search'")),
    ('iterations = "many"', ("'iterations'", "whole number", "'many'")),
    ('search = "kohl-stone"\n[options]\npolices = 3', ("no option 'polices'", "policies")),
    ("[trial]\nseconds = -1.0", ("'trial.seconds'", "greater than 0")),
    ("[objective]\ndrift = -1.0", ("'objective.drift'", "greater than or equal to 0")),
    ('robot = "nowhere.toml"', ("nowhere.toml", "no such file")),
]


@pytest.mark.parametrize(("text", "told"), CONFIGS)
def test_a_mistake_in_a_config_is_told(text: str, told: tuple[str, ...]) -> None:
    Path("tune.toml").write_text(text)
    _refused("tune --config tune.toml", *told)
    if "nowhere" not in text:
        _refused("tune --config tune.toml", "tune.toml: ")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[floor]\nfriction = -1.0", ("'floor.friction'", "greater than or equal to 0")),
        ("[floor]\nfricton = 1.0", ("unknown key 'floor.fricton'", "'friction'")),
        ("[joints.front_left_knee]\nzero_offset_rad = 0.1", ("no joint 'front_left_knee'", "front_left_shank")),
    ],
)
def test_a_mistake_in_a_world_is_told(text: str, told: tuple[str, ...]) -> None:
    Path("world.toml").write_text(text)
    for verb in ("tune", "trial"):
        _refused(f"{verb} --world world.toml", "world.toml", *told)


VERBS = (
    "tune --resume --run {}", "replay {}", "report {}", "export {}", "notes {} hello", "watch {}", "runs archive {}",
)  # fmt: skip
GAIT_VERBS = ("tune --from {}", "trial --gait {}")


def _no_run(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("mine")


def _cut_short(path: Path) -> None:
    os.truncate(path / DATABASE, 20_000)


def _emptied(path: Path) -> None:
    os.truncate(path / DATABASE, 0)


def _from_the_future(path: Path) -> None:
    with sqlite3.connect(path / DATABASE) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (None, "this is not a run"),
        (_no_run, "this is not a run"),
        (_cut_short, "damaged or was cut short"),
        (_emptied, "cut short while it was made"),
        (_from_the_future, "made by a newer robotps"),
    ],
)
def test_a_folder_that_is_no_good_run_is_told_by_every_verb(
    make_run: Callable[..., Path], spoil: Callable[[Path], None] | None, told: str
) -> None:
    if spoil not in (None, _no_run):
        make_run("spoilt", world={})
    if spoil is not None:
        spoil(Path("spoilt"))
    for verb in VERBS if spoil is None else VERBS + GAIT_VERBS:
        _refused(verb.format("spoilt"), "spoilt: ", told)


def test_a_run_of_another_robot_is_no_start(make_run: Callable[..., Path]) -> None:
    make_run("mine", world={})
    _refused("trial --robot bittle --gait mine", "mine: ", "'dkitty', not 'bittle'")
    _refused("tune --run mine", "mine: ", "there is a run here already", "--resume")


def _elsewhere(*command: object, limit: int | None = None, output: str | None = None) -> tuple[int, str]:
    """The command in a process of its own, which may write no file longer than `limit` bytes, and may override nothing.

    A full disk refuses to let files grow in the same way. Root may write everywhere: that right is taken away.
    """
    able = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.getuid() == 0 else []
    with open(output or os.devnull, "w") as stdout:
        done = subprocess.run(
            [*able, sys.executable, "-m", "robotps.cli.app", *map(str, command)],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
            preexec_fn=None if limit is None else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


def test_a_full_disk_leaves_no_half_made_run() -> None:
    status, said = _elsewhere("tune", *QUICK, "--run", "mine", limit=8 * 1024)
    assert (status, Path("mine").exists()) == (1, False)
    assert "mine: the disk is full or failing" in said


def test_a_disk_that_fills_up_while_a_run_goes_on_leaves_one_to_go_on_with() -> None:
    status, said = _elsewhere("tune", *QUICK, "--run", "mine", limit=72 * 1024)
    assert status == 1
    assert "mine: the disk is full or failing" in said.splitlines()[-1]
    assert "go on with --resume" in said.splitlines()[-1]
    status, said = _elsewhere("tune", "--resume", "--run", "mine", "--workers", 1)
    assert (status, Path("mine/best_gait.toml").exists()) == (0, True), said


def test_a_full_disk_leaves_no_half_written_page_table_or_answer(make_run: Callable[..., Path]) -> None:
    make_run("mine", world={})
    before = _files()
    for command in ("report", "export", "runs archive"):
        status, said = _elsewhere(*command.split(), "mine", limit=1024)
        assert status == 1, command
        assert "cannot be written" in said or "the disk is full" in said
        assert _files() == before, command
    for command in ("robots show dkitty", "runs --in . --json", "notes mine --json"):
        status, said = _elsewhere(*command.split(), output="/dev/full")
        assert status == 1, command
        assert "the answer cannot be written: No space left on device" in said


def test_where_writing_is_not_permitted_that_is_told_and_reading_goes_on(make_run: Callable[..., Path]) -> None:
    make_run("mine", world={})
    before = _files()
    shut = [Path("mine"), Path()]
    for folder in shut:
        folder.chmod(0o555)
    for file in Path("mine").iterdir():
        file.chmod(0o444)
    try:
        for command in (
            ("tune", *QUICK),
            ("tune", *QUICK, "--run", "other"),
            ("tune", "--resume", "--run", "mine"),
            ("report", "mine"),
            ("export", "mine"),
            ("export", "mine", "--out", "tables"),
            ("runs", "archive", "mine"),
            ("runs", "rm", "mine", "--yes"),
        ):
            status, said = _elsewhere(*command)
            assert status == 1, (command, said)
            assert "ermission" in said or "cannot be" in said, (command, said)
        assert _files() == before
        assert _elsewhere("runs", "--in", ".")[0] == 0
        Path("mine", DATABASE).chmod(0)
        status, said = _elsewhere("report", "mine", "--out", "/tmp/never.html")
        assert (status, "mine" in said) == (1, True)
    finally:
        for folder in reversed(shut):
            folder.chmod(0o755)
        shutil.rmtree("mine")


def test_flags_are_told_by_their_names_and_what_is_not_there_leaves_nothing() -> None:
    _refused("tune --config quick.toml --budget -5", "--budget: must be greater than or equal to 1 (it is -5)")
    _refused("compare --executor nobody", "--executor nobody: known are")
    _refused("trial --robot=", "no robot is called ''")
    _refused("trial --on serial:/dev/x --on sim", "--on serial:/dev/x --on sim: one robot at a time")
    _refused("gap --on serial:/dev/x --odometer stopwatch --spread inf", "--spread must be a number of steps")
    _refused("scheduler --listen 127.0.0.1:99999", "give HOST:PORT")
    _refused("replay somewhere --view --port 99999", "--port", status=2)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_end_in_no_traceback(closed: str) -> None:
    verb = f"{sys.executable} -m robotps.cli.app robots"
    good, bad = (subprocess.run(f"{verb} {rest} {closed}", shell=True, capture_output=True, text=True, check=False)
                 for rest in ("show dkitty", "show nobody"))  # fmt: skip
    assert (good.returncode, bad.returncode) == (0, 1)
    for result in (good, bad):
        assert "Traceback" not in result.stderr
    assert bad.stdout == ""
