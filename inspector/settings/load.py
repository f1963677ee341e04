"""Reads the settings: TOML file, secrets from files, environment; and words what is wrong.

Strongest first: environment (`INSPECTOR_REDIS__URL`), secrets (one file per key, named
`redis.password`, in the folder systemd's `LoadCredential=` makes), the TOML file.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from inspector.core.errors import ConfigurationError
from inspector.core.url_text import unparsed
from inspector.settings.settings import Settings
from inspector.settings.types import PATTERNS
from inspector.sources.uri import redact

ENV_PREFIX = "INSPECTOR_"
ENV_DELIMITER = "__"
LONGEST_SHOWN = 80
_SECRET_KEYS = ("password", "sentinel_password", "token")

# What pydantic's refusals expect, in a line engineer's words.
_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a section of its own",
    "float_parsing": "a number",
    "float_type": "a number",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "less_than_equal": "at most {le:g}",
    "literal_error": "{expected}",
    "model_type": "a section of its own",
    "path_type": "a path in quotes",
    "string_too_short": "at least {min_length} character",
    "string_type": "text in quotes",
    "too_long": "at most {max_length} entries",
    "too_short": "at least {min_length} entry",
    "tuple_type": 'a list, such as ["open", "short"]',
}


@dataclass(frozen=True, slots=True)
class _Layer:
    """One place that settings come from."""

    content: dict[str, Any]
    """By section, then key."""
    locate: Callable[[str], str]
    """Where the key with this dotted path stands, for people."""


class _Fixed(PydanticBaseSettingsSource):
    """A source whose content was read beforehand."""

    def __init__(self, settings_cls: type[BaseSettings], content: dict[str, Any]) -> None:
        super().__init__(settings_cls)
        self._content = content

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Required by the base class; `__call__` does the work."""
        del field
        return self._content.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._content


def load_settings(path: Path, overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of this process; `overrides` (by section) stand above everything.

    Raises:
        ConfigurationError: with one sentence per problem.

    """
    layers = [
        _read_environment(os.environ),
        _read_credentials(os.environ.get("CREDENTIALS_DIRECTORY")),
        _Layer(_read_toml(path), lambda dotted: f"{path}: {dotted}"),
    ]

    class _FromOutside(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            del env_settings, dotenv_settings, file_secret_settings
            return init_settings, *(_Fixed(settings_cls, layer.content) for layer in layers)

    return _checked(_FromOutside, dict(overrides or {}), layers, origin=f"{path}: ")


def build_settings(
    model: type[Settings], content: Mapping[str, Any], *, origin: str = "settings"
) -> Settings:
    """Construct settings, wording what is wrong with one sentence per problem.

    Raises:
        ConfigurationError: with those sentences.

    """
    return _checked(model, dict(content), [], origin=f"{origin}: ")


def _checked(
    model: type[Settings], content: dict[str, Any], layers: list[_Layer], *, origin: str
) -> Settings:
    try:
        return model(**content)
    except ValidationError as error:
        problems = []
        for detail in error.errors(include_url=False):
            where = [str(part) for part in detail["loc"] if part != "[key]"]
            dotted = ".".join(where)
            layer = next((layer for layer in layers if _holds(layer.content, where)), None)
            place = layer.locate(dotted) if layer else f"{origin}{dotted}"
            problems.append(f"{place}: {_sentence(detail, where)}".replace(": : ", ": "))
        raise ConfigurationError(*problems) from None


def _holds(content: Any, where: Sequence[str]) -> bool:
    """Whether this very key, or something in its place, was set here."""
    for part in where:
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
        if not isinstance(content, dict):
            return True
    return False


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        # -sig: editors on Windows put an invisible mark in front.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file; expected a TOML file") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"{path}: byte {error.start} is not UTF-8; expected a TOML file saved as UTF-8"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError; a huge number; deep nesting
        raise ConfigurationError(f"{path}: not valid TOML: {str(error)[:300]}") from None


def _read_credentials(directory: str | None) -> _Layer:
    """One file per key, its dotted path as the name; other files belong to somebody else."""
    content: dict[str, Any] = {}
    file = Path(directory or "")
    try:
        for file in sorted(Path(directory).iterdir()) if directory else ():
            *sections, key = file.name.split(".")
            if sections and sections[0] in Settings.model_fields and file.is_file():
                _place(content, [*sections, key], file.read_text("utf-8").rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        cause = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigurationError(
            f"{file}: cannot be read: {cause}; expected a secret, named by $CREDENTIALS_DIRECTORY"
        ) from None
    return _Layer(content, lambda dotted: str(Path(directory or "") / dotted))


def _read_environment(environ: Mapping[str, str]) -> _Layer:
    """Read `INSPECTOR_<SECTION>__<KEY>`; a value that is a JSON list or object is one.

    Raises:
        ConfigurationError: a name that is none of ours but looks so: a typing error would
            otherwise leave a default in place without a word.

    """
    content: dict[str, Any] = {}
    problems = []
    for name, text in environ.items():
        if not name.startswith(ENV_PREFIX):
            continue
        where = name.removeprefix(ENV_PREFIX).lower().split(ENV_DELIMITER)
        if where[0] in Settings.model_fields:
            _place(content, where, text if where[-1] in _SECRET_KEYS else _from_json(text))
        elif len(where) > 1:
            problems.append(f"environment: {name}: {_unknown(where[0], Settings)}")
        elif meant := _with_delimiter(where[0]):
            problems.append(f"environment: {name}: unknown name; did you mean {meant}?")
    if problems:
        raise ConfigurationError(*problems)
    return _Layer(content, lambda dotted: f"environment: {_environment_name(dotted)}")


def _environment_name(dotted: str) -> str:
    return ENV_PREFIX + dotted.replace(".", ENV_DELIMITER).upper()


def _with_delimiter(name: str) -> str | None:
    """What `redis_url` was meant to be; None when it is not ours to judge."""
    section, _, key = name.partition("_")
    model = _model_at([section]) if section in Settings.model_fields else None
    return _environment_name(f"{section}.{key}") if model and key in model.model_fields else None


def _from_json(text: str) -> Any:
    if text.startswith(("[", "{")):
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(text)
    return text


def _place(content: dict[str, Any], where: Sequence[str], value: object) -> None:
    for section in where[:-1]:
        inner = content.setdefault(section, {})
        if not isinstance(inner, dict):
            return  # set as a whole too, which is refused
        content = inner
    content[where[-1]] = value


def _sentence(detail: ErrorDetails, where: list[str]) -> str:
    """`found "7"; expected ...` for one pydantic error."""
    kind, found, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "missing":
        return f"missing; expected {'a key' if len(where) > 1 else 'a section'} of this name"
    if kind == "extra_forbidden":
        return _unknown(where[-1], _model_at(where[:-1]))
    message = detail["msg"].removeprefix("Value error, ")
    if kind == "string_pattern_mismatch":
        message = f"expected {PATTERNS[context['pattern']]}"
    elif kind != "value_error":
        message = f"expected {_EXPECTED.get(kind, message).format(**context)}"
    if where[0:1] == ["cameras"] and kind in {"model_type", "dict_type"}:
        message = "expected a section for each camera, such as [cameras.top]"
    if isinstance(found, BaseModel) or (kind == "value_error" and isinstance(found, dict)):
        return message
    if kind == "too_short" and where[-1] in _SECRET_KEYS:
        return "found nothing; expected a secret"
    shown = _shown(where, found)
    told = isinstance(found, str) and shown in message
    return _without_password(message if told else f"found {shown}; {message}", found)


def _shown(where: list[str], found: object) -> str:
    """The refused value, unless it is or may hold a secret."""
    if any(key in where[-1:] for key in _SECRET_KEYS):
        return "a secret"
    shown = redact(unparsed(str(found)))[:LONGEST_SHOWN]
    return repr(shown) if isinstance(found, str) else shown


def _without_password(sentence: str, found: object) -> str:
    """Stars out what may be a password in an address too malformed for `redact`."""
    login = re.sub(r"^\w*:?/+", "", str(found).rpartition("@")[0])
    password = login.partition(":")[2]
    for written in {password, repr(password)[1:-1]} - {""}:
        sentence = sentence.replace(f":{written}@", ":***@")
    return sentence


def _unknown(key: str, model: type[BaseModel] | None) -> str:
    known = sorted(model.model_fields) if model else []
    close = difflib.get_close_matches(key, known, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"expected one of: {', '.join(known)}"
    return f'unknown key "{key}"; {hint}'


def _model_at(where: Sequence[str]) -> type[BaseModel] | None:
    """The settings model that holds the keys at this place."""
    model: type[BaseModel] | None = Settings
    for part in where:
        field = model.model_fields.get(part) if model else None
        if field is not None:
            model = next(_models_in(field.annotation), None)
        # A dict's own keys (camera ids) stay at the model of its values.
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)
