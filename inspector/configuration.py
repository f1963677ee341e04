"""Reads the settings: TOML file, secrets from files, environment; and words what is wrong.

Strongest first: environment (`INSPECTOR_REDIS__URL`), secrets (one file per key, named
`redis.password`, in the folder systemd's `LoadCredential=` makes), the TOML file.
"""

from __future__ import annotations

import difflib
import os
import tomllib
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from inspector.errors import ConfigurationError
from inspector.settings import Settings
from inspector.source_uri import redact

ENV_PREFIX = "INSPECTOR_"
_SECRET_KEYS = ("password", "token")


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
    from_file = _read_toml(path)
    from_secrets = _read_credentials(os.environ.get("CREDENTIALS_DIRECTORY"))
    _refuse_unknown_environment(os.environ)

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
            del dotenv_settings, file_secret_settings
            secrets = _Fixed(settings_cls, from_secrets)
            return init_settings, env_settings, secrets, _Fixed(settings_cls, from_file)

    return build_settings(_FromOutside, dict(overrides or {}), origin=str(path))


def build_settings(
    model: type[Settings], content: Mapping[str, Any], *, origin: str = "settings"
) -> Settings:
    """Construct settings, wording what is wrong with one sentence per problem.

    Raises:
        ConfigurationError: with those sentences.

    """
    try:
        return model(**content)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigurationError(*(f"{origin}: {_sentence(d)}" for d in details)) from None
    except ValueError as error:  # pydantic-settings: an environment value that is not JSON
        raise ConfigurationError(f"environment: {error}") from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: no such file; expected a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from None


def _read_credentials(directory: str | None) -> dict[str, Any]:
    """One file per key, its dotted path as the name; other files belong to somebody else."""
    content: dict[str, Any] = {}
    for file in sorted(Path(directory).iterdir()) if directory else ():
        *sections, key = file.name.split(".")
        if sections and sections[0] in Settings.model_fields and file.is_file():
            place = content
            for section in sections:
                place = place.setdefault(section, {})
            place[key] = file.read_text(encoding="utf-8").rstrip("\r\n")
    return content


def _refuse_unknown_environment(environ: Mapping[str, str]) -> None:
    """pydantic-settings ignores a misspelt section; we do not."""
    problems = []
    for name in environ:
        section, nested, _key = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if name.startswith(ENV_PREFIX) and nested and section not in Settings.model_fields:
            problems.append(f"environment: {name}: {_unknown(section, Settings)}")
    if problems:
        raise ConfigurationError(*problems)


def _sentence(detail: ErrorDetails) -> str:
    """`cameras.line-1.size: found "7"; expected ...` for one pydantic error."""
    where = [str(part) for part in detail["loc"] if part != "[key]"]
    dotted = ".".join(where) or "settings"
    kind, found = detail["type"], detail["input"]
    if kind == "missing":
        return f"{dotted}: missing; it has no default"
    if kind == "extra_forbidden":
        return f"{dotted}: {_unknown(where[-1], _model_at(where[:-1]))}"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if isinstance(found, BaseModel) or (kind == "value_error" and isinstance(found, dict)):
        return f"{dotted}: {message}"
    expected = message if kind == "value_error" else f"expected {message}"
    return f"{dotted}: found {_shown(where, found)}; {expected}"


def _shown(where: list[str], found: object) -> str:
    """The refused value, unless it is or may hold a secret."""
    if any(key in where[-1:] for key in _SECRET_KEYS):
        return "a secret"
    text = found.get_secret_value() if isinstance(found, SecretStr) else str(found)
    return repr(redact(text)[:80]) if isinstance(found, str | SecretStr) else redact(text)[:80]


def _unknown(key: str, model: type[BaseModel] | None) -> str:
    known = sorted(model.model_fields) if model else []
    close = difflib.get_close_matches(key, known, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"expected one of: {', '.join(known)}"
    return f'unknown key "{key}"; {hint}'


def _model_at(where: list[str]) -> type[BaseModel] | None:
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
