"""Values of settings held against the types and ranges of their fields, and errors that name the option."""

from __future__ import annotations

import dataclasses
import math
import typing
from numbers import Integral, Real
from types import NoneType
from typing import Annotated, Any, Literal

from lerf.errors import ConfigError
from lerf.ranges import Bound, Repeated

OPTION_NAMES = {"language_source": "language", "radiance_run": "radiance"}
"""Fields whose option on the command line has another name."""


def hints_of(kind: type) -> dict[str, Any]:
    """Types of a dataclass's fields by name, with their annotations."""
    return typing.get_type_hints(kind, include_extras=True)


def check_fields(settings: Any, prefix: str = "") -> None:
    """Check every field of a dataclass, and of the dataclasses that it holds.

    Raises:
        ConfigError: a value is of another type than its field, or out of its range.
    """
    for name, hint in hints_of(type(settings)).items():
        value = getattr(settings, name)
        check_value(prefix + name, value, hint)
        if dataclasses.is_dataclass(value):
            check_fields(value, f"{prefix}{name}.")


def check_value(name: str, value: Any, hint: Any) -> None:
    """Check one value; `name` is its field's, with that of its part before it: `radiance.levels`.

    Raises:
        ConfigError: as `check_fields`.
    """
    if fits(value, hint):
        return
    choices = _choices(hint)
    if choices:
        raise ConfigError(f"There is no {option(name)} '{value}'; known are {', '.join(choices)}.")
    raise ConfigError(f"{option(name)} must be {wanted(hint)}, not {value!r}.")


def option(name: str) -> str:
    """The command line's option for a field: `--language-training.steps` for `language_training.steps`."""
    return "--" + OPTION_NAMES.get(name, name).replace("_", "-")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; an integer is also a number, a number that is not finite is none."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        if value == () and any(isinstance(part, Repeated) for part in parts[1:]):
            return True
        bounds = [part for part in parts[1:] if isinstance(part, Bound)]
        return fits(value, parts[0]) and all(value in bound for bound in bounds)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        return isinstance(value, tuple) and _items_fit(value, parts)
    if parts:
        return any(fits(value, part) for part in parts)
    if hint is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, Real) and not isinstance(value, bool) and _is_finite(value)
    return isinstance(value, hint)


def _is_finite(value: Real) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the numbers with a point
        return False


def _items_fit(items: tuple[Any, ...], parts: tuple[Any, ...]) -> bool:
    if parts[-1] is Ellipsis:
        return bool(items) and all(fits(item, parts[0]) for item in items)
    return len(items) == len(parts) and all(fits(item, part) for item, part in zip(items, parts, strict=True))


def wanted(hint: Any) -> str:
    """What a field takes, in words that follow "must be"."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return " ".join([wanted(parts[0]), *(str(part) for part in parts[1:] if isinstance(part, Bound))])
    if origin is tuple:
        if parts[-1] is Ellipsis:
            return f"one or more, each {wanted(parts[0])}"
        return f"({', '.join(wanted(part) for part in parts)})"
    if parts:
        return " or ".join(wanted(part) for part in parts if part is not NoneType)
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    return words.get(hint) or f"a {hint.__name__}"


def _choices(hint: Any) -> tuple[str, ...]:
    """The words that a field chooses from, if it does."""
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)
    return next((found for part in typing.get_args(hint) if (found := _choices(part))), ())
