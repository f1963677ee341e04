"""Reads the settings: TOML file, secrets from files, environment; and reports mistakes.

Strongest first: environment (`INSPECTOR_REDIS__URL`), secrets (one file per key, named
`redis.password`, in the folder systemd's `LoadCredential=` makes), the TOML file.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from inspector.core.errors import ConfigurationError
from inspector.settings.renamed import OldName, rename
from inspector.settings.settings import Settings
from inspector.settings.wording import SECRET_KEYS, model_at, sentence, unknown_key

ENV_PREFIX = "INSPECTOR_"
ENV_DELIMITER = "__"


@dataclass(frozen=True, slots=True)
class _Layer:
    """One source of settings."""

    content: dict[str, Any]
    """By section, then key."""
    locate: Callable[[str], str]
    """The place of the key with this dotted path, for people."""
    old_names: tuple[OldName, ...] = ()
    """Keys that a person should rename here."""

    def by_present_names(self) -> _Layer:
        """The content, with every renamed key by its present name."""
        renamed = rename(self.content)
        written = {key.now: key.before for key in renamed}
        return _Layer(
            self.content,
            # A message on a wrong value should show the name as it was written.
            lambda dotted: self.locate(written.get(dotted, dotted)),
            tuple(key.at(self.locate(key.before)) for key in renamed),
        )


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
    """The settings of this process; `overrides` (by section) take precedence over everything.

    Raises:
        ConfigurationError: with one sentence per problem.

    """
    read = (
        _read_environment(os.environ),
        _read_credentials(os.environ.get("CREDENTIALS_DIRECTORY")),
        _Layer(_read_toml(path), lambda dotted: f"{path}: {dotted}"),
    )
    layers = [layer.by_present_names() for layer in read]

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

    settings = _checked(_FromOutside, dict(overrides or {}), layers, origin=f"{path}: ")
    settings.note(old_name for layer in layers for old_name in layer.old_names)
    return settings


def build_settings(
    model: type[Settings], content: Mapping[str, Any], *, origin: str = "settings"
) -> Settings:
    """Construct settings; reports one sentence per problem.

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
            problems.append(f"{place}: {sentence(detail, where, Settings)}".replace(": : ", ": "))
        raise ConfigurationError(*problems) from None


def _holds(content: Any, where: Sequence[str]) -> bool:
    """Whether this key, or something in its place, was set here."""
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
    """One file per key, named by its dotted path; other files are ignored."""
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
        ConfigurationError: a name that is similar to ours but unknown: a typing error would
            otherwise leave a default in place silently.

    """
    content: dict[str, Any] = {}
    problems = []
    for name, text in environ.items():
        if not name.startswith(ENV_PREFIX):
            continue
        where = name.removeprefix(ENV_PREFIX).lower().split(ENV_DELIMITER)
        if where[0] in Settings.model_fields:
            _place(content, where, text if where[-1] in SECRET_KEYS else _from_json(text))
        elif len(where) > 1:
            problems.append(f"environment: {name}: {unknown_key(where[0], Settings)}")
        elif meant := _with_delimiter(where[0]):
            problems.append(f"environment: {name}: unknown name; did you mean {meant}?")
    if problems:
        raise ConfigurationError(*problems)
    return _Layer(content, lambda dotted: f"environment: {_environment_name(dotted)}")


def _environment_name(dotted: str) -> str:
    return ENV_PREFIX + dotted.replace(".", ENV_DELIMITER).upper()


def _with_delimiter(name: str) -> str | None:
    """The name that `redis_url` was probably meant to be; None if it is not similar to ours."""
    section, _, key = name.partition("_")
    model = model_at(Settings, [section]) if section in Settings.model_fields else None
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
