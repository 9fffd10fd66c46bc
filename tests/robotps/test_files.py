"""Reading what people write, and writing whole files or none."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from robotps.errors import MissingExtra, RobotpsError, require
from robotps.files import FileModel, parse, read_table, read_toml, without_none, write_atomically
from robotps.settings import TuneSettings


class Wheel(FileModel):
    radius: float
    spokes: int = 12


class Cart(FileModel):
    wheels: tuple[Wheel, ...]
    place: tuple[float, float] = (0.0, 0.0)
    owners: dict[str, Wheel] = Field(default_factory=dict)
    painted: bool = False


def _read(tmp_path: Path, text: str) -> Cart:
    file = tmp_path / "cart.toml"
    file.write_text(text)
    return read_toml(file, Cart)


def test_a_good_file_becomes_its_model(tmp_path: Path) -> None:
    cart = _read(tmp_path, "place = [1, 2.5]\npainted = true\n[[wheels]]\nradius = 1\n[owners.me]\nradius = 0.5\n")
    assert cart == Cart(wheels=(Wheel(radius=1.0),), place=(1.0, 2.5), owners={"me": Wheel(radius=0.5)}, painted=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("wheels = []\nplaec = [1, 2]", ["unknown key 'plaec'", "'place'"]),
        ("[[wheels]]\nradius = 1\nspoke = 3", ["unknown key 'wheels.0.spoke'", "'spokes'"]),
        ("place = [1, 2]", ["'wheels' is missing"]),
        ("wheels = 3", ["'wheels'", "must be an array"]),
        ("wheels = []\nowners = 4", ["'owners'", "must be a table"]),
        ("wheels = [1]", ["'wheels.0'", "must be a table"]),
        ('[[wheels]]\nradius = "0.3"', ["'wheels.0.radius'", "number", "'0.3'"]),
        ('[[wheels]]\nradius = "30 cm"', ["'wheels.0.radius'", "number", "'30 cm'"]),
        ("[[wheels]]\nradius = true", ["'wheels.0.radius'", "number", "True"]),
        ("[[wheels]]\nradius = nan", ["'wheels.0.radius'", "finite", "nan"]),
        ("[[wheels]]\nradius = inf", ["'wheels.0.radius'", "finite", "inf"]),
        ("[[wheels]]\nradius = 1\nspokes = 2.5", ["'wheels.0.spokes'", "whole number", "2.5"]),
        ("wheels = []\npainted = 1", ["'painted'", "true or false"]),
        ("wheels = [", ["not valid TOML"]),
        ("wheels = []\nplace = = 3", ["not valid TOML", "line 2"]),
    ],
)
def test_a_bad_file_is_told_with_its_name_the_key_and_what_was_expected(
    tmp_path: Path, text: str, told: list[str]
) -> None:
    with pytest.raises(RobotpsError) as error:
        _read(tmp_path, text)
    message = str(error.value)
    assert message.startswith(f"{tmp_path / 'cart.toml'}: ")
    assert "\n" not in message
    for part in told:
        assert part in message


def test_all_mistakes_of_a_file_are_told_at_once() -> None:
    with pytest.raises(RobotpsError) as error:
        parse({"wheels": [{"radius": "x"}], "colour": 3}, Cart, "cart.toml")
    assert len(str(error.value).splitlines()) == 2


def test_a_file_that_cannot_be_read_is_told_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(RobotpsError, match=r"none\.toml: there is no such file"):
        read_table(tmp_path / "none.toml")
    with pytest.raises(RobotpsError, match="cannot be read"):
        read_table(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(RobotpsError, match=r"bytes\.toml: cannot be read"):
        read_table(tmp_path / "bytes.toml")


@given(st.binary(max_size=200))
def test_no_content_whatever_ends_in_another_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "noise.toml"
    file.write_bytes(content)
    with pytest.raises(RobotpsError, match=r"noise\.toml"):
        read_toml(file, Cart)


def test_keys_without_a_value_are_left_out() -> None:
    assert without_none({"a": None, "b": {"c": None, "d": 0}}) == {"b": {"d": 0}}


def test_a_file_is_written_whole_over_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "gait.toml"
    file.write_text("old")
    write_atomically(file, "new: ä")
    assert file.read_text(encoding="utf-8") == "new: ä"
    write_atomically(file, b"\x00\xff")
    assert file.read_bytes() == b"\x00\xff"
    assert os.listdir(tmp_path) == ["gait.toml"]


def _limited(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code where no file can grow beyond 4 KiB: what a full disk does, without filling one."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(folder)],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "gait.toml").write_text("old")
    done = _limited(
        """
        import sys
        from robotps.errors import RobotpsError
        from robotps.files import write_atomically
        try:
            write_atomically(sys.argv[1] + "/gait.toml", "x" * 10_000)
        except RobotpsError as error:
            print(error)
        """,
        tmp_path,
    )
    assert "gait.toml: cannot be written" in done.stdout, done.stderr
    assert (tmp_path / "gait.toml").read_text() == "old"
    assert os.listdir(tmp_path) == ["gait.toml"]


def test_a_folder_that_is_none_or_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(RobotpsError, match=r"gait\.toml: cannot be written"):
        write_atomically(tmp_path / "missing" / "gait.toml", "x")
    with pytest.raises(RobotpsError, match="cannot be written"):
        write_atomically("/proc/gait.toml", "x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(RobotpsError, match="folder: cannot be written"):
        write_atomically(tmp_path / "folder", "x")
    assert os.listdir(tmp_path) == ["folder"]


def test_what_is_not_installed_is_told_with_the_extra_that_brings_it() -> None:
    assert require("json", extra="sim").dumps(1) == "1"
    with pytest.raises(MissingExtra, match=r"pip install 'robotps\[sim\]'"):
        require("no_such_engine.inner", extra="sim")


def test_a_link_goes_on_leading_where_it_led_and_a_pipe_stays_one(tmp_path: Path) -> None:
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to("target")
    write_atomically(link, "new")
    assert link.is_symlink()
    assert (tmp_path / "target").read_text() == "new"
    os.mkfifo(pipe)
    for place in (pipe, Path(os.devnull)):
        with pytest.raises(RobotpsError, match="a device or a pipe"):
            write_atomically(place, "new")
    assert pipe.is_fifo()
    assert Path(os.devnull).is_char_device()


def test_a_value_given_as_a_flag_is_told_as_that_and_kinds_of_values_in_one_line() -> None:
    with pytest.raises(RobotpsError) as error:
        parse({"family": "trot", "repeats": 0, "confirm": 0}, TuneSettings, "mine.toml", {"repeats": 0})
    assert str(error.value).splitlines() == [
        "--repeats: must be greater than or equal to 1 or must be 'auto' (it is 0)",
        "mine.toml: 'confirm': must be greater than or equal to 1 (it is 0)",
    ]


def test_where_no_known_key_is_near_all_are_listed() -> None:
    with pytest.raises(RobotpsError, match=r"unknown key 'trial.x'; known are seconds, warm_up, .*max_tilt"):
        parse({"family": "trot", "trial": {"x": 1}}, TuneSettings, "mine.toml")
