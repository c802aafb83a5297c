"""Reads a daemon's configuration: one TOML file into structs, with every mistake told at once.

It looks nothing up: whether a path exists or an address can be had, the daemon finds out.
"""

import difflib
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from innkeeper_plugins.errors import InnkeeperError
from innkeeper_plugins.vocabulary import Value

LOG_LEVELS: Final = ("debug", "info", "warning", "error")
LOG_FORMATS: Final = ("json", "text")

_Config = TypeVar("_Config", bound=Value)


class ConfigError(InnkeeperError):
    """The configuration cannot be used; the operator of the daemon must act."""


class LogConfig(Value):
    """``[log]``: what is told on standard error."""

    level: str = "info"
    #: ``json`` or ``text``.
    format: str = "json"


def load(path: Path, parse: Callable[[str], _Config], *, must_exist: bool) -> _Config:
    """Return what ``parse`` makes of the file; of an empty text where there is none and none has to be.

    Raises:
        ConfigError: it cannot be read, or has mistakes; the text names the file and all of them.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        if must_exist:
            raise ConfigError(f"there is no {path}") from error
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    try:
        return parse(text)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(text: str, kind: type[_Config], mistakes: Callable[[_Config], Iterable[str]]) -> _Config:
    """Return the configuration that the TOML text describes.

    Args:
        text: TOML.
        kind: The struct of the whole file.
        mistakes: Tells what is of the right type and still makes no sense; empty texts are none.

    Raises:
        ConfigError: the text is no TOML, has keys that are unknown, values of wrong types, or mistakes.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(error)) from error
    _refuse(_unknown_keys(content, kind, ""))
    try:
        config = msgspec.convert(content, kind, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error)) from error
    _refuse(mistakes(config))
    return config


def log_mistakes(config: LogConfig) -> Iterator[str]:
    """Tell which of the log's settings cannot be had."""
    yield not_one_of("log.level", config.level, LOG_LEVELS)
    yield not_one_of("log.format", config.format, LOG_FORMATS)


def not_one_of(name: str, value: str, possible: tuple[str, ...]) -> str:
    """Return what to tell of a setting that has none of the possible values; an empty text if it has one."""
    if value in possible:
        return ""
    close = difflib.get_close_matches(value, possible, n=1)
    return f"{name} is {value!r}; " + (f"did you mean {close[0]}?" if close else f"use one of {', '.join(possible)}")


def _refuse(mistakes: Iterable[str]) -> None:
    if told := [mistake for mistake in mistakes if mistake]:
        raise ConfigError("; ".join(told))


def _decode_path(_kind: type, value: object) -> Path:
    if not isinstance(value, str):
        raise TypeError("expected a path as text")
    return Path(value)


def _unknown_keys(content: Mapping[str, object], kind: type[Value], where: str) -> Iterator[str]:
    hints = get_type_hints(kind)
    known = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
    for key, value in content.items():
        if key in known:
            yield from _unknown_below(value, hints[known[key]], f"{where}{key}.")
        else:
            close = difflib.get_close_matches(key, known, n=1)
            yield f"unknown key {where}{key}" + (f", did you mean {where}{close[0]}?" if close else "")


def _unknown_below(value: object, kind: object, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        return
    if get_origin(kind) is dict:
        for name, below in value.items():
            yield from _unknown_below(below, get_args(kind)[1], f"{where}{name}.")
    else:
        for candidate in (kind, *get_args(kind)):
            if isinstance(candidate, type) and issubclass(candidate, Value):
                yield from _unknown_keys(value, candidate, where)
