"""Files that people write: TOML read into checked models, and files written whole or not at all."""

from __future__ import annotations

import difflib
import os
import re
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from robotps.errors import RobotpsError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class FileModel(BaseModel):
    """A table in a person's file: unknown keys, NaN and infinities are errors, values are never changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path | str, model: type[Model]) -> Model:
    """Read a TOML file into a model; raises RobotpsError naming the file, the key and the mend."""
    return parse(read_table(path), model, str(path))


def read_table(path: Path | str) -> dict[str, Any]:
    """Read a TOML file as plain tables; raises RobotpsError naming the file and line."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise RobotpsError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise RobotpsError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RobotpsError(f"{path}: not valid TOML: {error}") from None


def parse(table: Mapping[str, Any], model: type[Model], source: str, flags: Collection[str] = ()) -> Model:
    """Check a table against a model; RobotpsError names `source` (a file, a run), the key and what was expected.

    flags: names of keys whose values were given as flags.
    """
    try:
        return model.model_validate(_with_tuples(table), strict=True)  # strict: "0.7" and true are no numbers
    except ValidationError as error:
        problems: list[dict[str, Any]] = [dict(problem) for problem in error.errors()]
        unknown = [problem["loc"] for problem in problems if _unknown(problem)]
        misspelt = [(*location[:-1], _nearest(location, _known(location, model))) for location in unknown]
        told: dict[tuple[str, str], list[str]] = {}
        for problem in problems:
            if problem["loc"] not in misspelt:
                where, expected, got = _explain(problem, model, source, flags)
                # each kind of value that a key may have says on its own what that would be
                told.setdefault((where, got), []).append(expected)
        lines = [where + " or ".join(dict.fromkeys(kinds)) + got for (where, got), kinds in told.items()]
        raise RobotpsError("\n".join(lines)) from None


def _with_tuples(value: Any) -> Any:
    """What is an array in a file is a tuple in a model."""
    if isinstance(value, Mapping):
        return {key: _with_tuples(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return tuple(_with_tuples(inner) for inner in value)
    return value


_IN_TOML = {
    "model_type": "must be a table",
    "dict_type": "must be a table",
    "tuple_type": "must be an array",
    "float_type": "must be a number, in SI units and without quotes",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
}


def _unknown(problem: dict[str, Any]) -> bool:
    return bool(problem["type"] == "extra_forbidden")


def _explain(
    problem: dict[str, Any], model: type[BaseModel], source: str, flags: Collection[str]
) -> tuple[str, str, str]:
    """Where the problem is, what was expected there, and what is there instead."""
    location = [str(part) for part in problem["loc"] if not _KIND.fullmatch(str(part))]
    key = ".".join(location)
    if _unknown(problem):
        known = _known(problem["loc"], model)
        near = _nearest(problem["loc"], known)
        meant = f"the nearest known key is '{near}'" if near else f"known are {', '.join(known)}"
        return f"{source}: unknown key '{key}'; ", meant, ""
    if problem["type"] == "missing":
        return f"{source}: ", f"'{key}' is missing", ""
    said = problem["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    message = _IN_TOML.get(problem["type"], said)
    flag = next((part for part in location if part in flags), None)
    where = f"--{flag}: " if flag else f"{source}: '{key}': " if key else f"{source}: "
    got = "" if isinstance(problem["input"], dict | list | tuple) else f" (it is {problem['input']!r})"
    return where, message, got


_KIND = re.compile(r"\[key\]|constrained-\w+|(literal|tuple|list|dict)\[.*\]")
"""What pydantic puts into a location beside keys: the kind of value that was tried."""


def _nearest(location: tuple[int | str, ...], known: list[str]) -> str | None:
    """The key that may have been meant at a location."""
    return next(iter(difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.5)), None)


def _known(location: tuple[int | str, ...], model: type[BaseModel]) -> list[str]:
    """The keys that are known at a location."""
    models = [model]
    for part in location[:-1]:  # an index, or a name that the person chose, leads to no other model
        fields = [field for one in models for name, field in one.model_fields.items() if part in (name, field.alias)]
        models = [inner for field in fields for inner in _models_in(field.annotation)] or models
    return [field.alias or name for one in models for name, field in one.model_fields.items()]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in getattr(annotation, "__args__", ()):
        yield from _models_in(argument)


def without_none(value: Any) -> Any:
    """TOML has no null: such keys are left out."""
    if isinstance(value, Mapping):
        return {key: without_none(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [without_none(inner) for inner in value]
    return value


def write_atomically(path: Path | str, content: str | bytes) -> None:
    """Write a file whole or not at all; raises RobotpsError where the disk is full or the folder may not be written."""
    with written_whole(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def written_whole(path: Path | str) -> Iterator[Path]:
    """A temporary file to write in, beside `path`; at the end it is flushed to disk and renamed over it.

    Nothing is left where the writing fails, and a link goes on leading where it led. Raises RobotpsError where the disk
    is full or the folder may not be written, or what is there is no file.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        raise RobotpsError(f"{path}: cannot be written: it is {'a folder' if path.is_dir() else 'a device or a pipe'}")
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise RobotpsError(f"{path}: cannot be written: {error.strerror}") from None
        raise
