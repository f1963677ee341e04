"""Every setting of the process: the sections together, and the rules that span them.

These models check; `inspector.settings.load` reads the file, the environment and the secrets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import (
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from inspector.settings.challenge_sections import ChallengeSettings
from inspector.settings.event_sections import JournalSettings, RedisSettings
from inspector.settings.page_sections import PageSettings
from inspector.settings.process_sections import ProcessSettings
from inspector.settings.product_sections import ProductsSettings
from inspector.settings.renamed import OldName
from inspector.settings.sections import (
    BatchingSettings,
    CameraSettings,
    HealthSettings,
    HttpSettings,
    InferenceSettings,
    InspectionSettings,
    LogSettings,
    ReloadSettings,
    ShutdownSettings,
    StationSettings,
)
from inspector.settings.sink_sections import AnySink
from inspector.settings.types import Identifier
from inspector.settings.unit_sections import EvidenceSettings

MAIN_SINK = "main"
"""The journal's name for Redis."""


class Settings(BaseSettings):
    """The settings of the whole process; construction fails if its parts contradict each other.

    Constructed directly it reads nothing but its arguments; see `inspector.settings.load`.
    """

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix="INSPECTOR_",
        env_nested_delimiter="__",
    )

    station: StationSettings
    cameras: Annotated[
        dict[Identifier, CameraSettings],
        Field(min_length=1, json_schema_extra={"additionalProperties": False}),
    ]
    batching: BatchingSettings = BatchingSettings()
    inference: InferenceSettings = InferenceSettings()
    inspection: InspectionSettings = InspectionSettings()
    redis: RedisSettings = RedisSettings()
    journal: JournalSettings = Field(default_factory=JournalSettings)
    sinks: dict[Identifier, AnySink] = Field(default_factory=dict)
    """Where events go besides Redis."""
    evidence: EvidenceSettings = EvidenceSettings()
    products: ProductsSettings = ProductsSettings()
    process: ProcessSettings = ProcessSettings()
    challenge: ChallengeSettings = ChallengeSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    page: PageSettings = PageSettings()
    health: HealthSettings = HealthSettings()
    reload: ReloadSettings = ReloadSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    _old_names: tuple[OldName, ...] = PrivateAttr(default=())

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments only: a test or a demo must not pick up the machine's environment."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes that the models of the station find, further ones included."""
        return self.inspection.codes_with(m.name for m in self.inference.also_models)

    @property
    def products_directory(self) -> Path:
        """The folder of the products' files, and of what was learned about them."""
        return self.products.directory or self.journal.directory / "products"

    @property
    def challenge_directory(self) -> Path:
        """The folder of the sets of known parts."""
        return self.challenge.directory or self.journal.directory / "challenges"

    @property
    def taught_models_directory(self) -> Path:
        """The folder of the models that were taught."""
        return self.products.models or self.products_directory / "models"

    @model_validator(mode="after")
    def _units_can_be_decided(self) -> Self:
        for camera_id, camera in self.cameras.items():
            wanted = self.inspection.min_frames_seen
            if wanted > camera.frames_of_unit:
                msg = (
                    f"inspection.min_frames_seen is {wanted}, expected at most the "
                    f"{camera.frames_of_unit} frames that cameras.{camera_id} inspects of a unit"
                )
                raise ValueError(msg)
            if camera.trigger == "external" and (
                camera.trigger_wait_ms >= self.inspection.deadline_ms
            ):
                msg = (
                    f"cameras.{camera_id}.trigger_wait_ms is {camera.trigger_wait_ms}, expected "
                    f"below inspection.deadline_ms ({self.inspection.deadline_ms})"
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _main_is_redis(self) -> Self:
        if MAIN_SINK in self.sinks:
            msg = f"sinks.{MAIN_SINK}: found {MAIN_SINK!r}; expected another name: it means Redis"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _times_nest(self) -> Self:
        drain_s, unit_s = self.shutdown.drain_timeout_s, self.shutdown.unit_timeout_s
        if drain_s + 2 > unit_s:
            msg = (
                f"shutdown.drain_timeout_s is {drain_s}, expected at least 2 s below "
                f"shutdown.unit_timeout_s ({unit_s}), or systemd kills us while we drain"
            )
            raise ValueError(msg)
        if self.inference.reply_timeout_s >= drain_s:
            msg = (
                f"inference.reply_timeout_s is {self.inference.reply_timeout_s}, expected below "
                f"shutdown.drain_timeout_s ({drain_s}), or a hung server outlasts the drain"
            )
            raise ValueError(msg)
        if self.batching.max_age_ms > self.inspection.deadline_ms:
            msg = (
                f"batching.max_age_ms is {self.batching.max_age_ms}, expected at most "
                f"inspection.deadline_ms ({self.inspection.deadline_ms})"
            )
            raise ValueError(msg)
        if self.inference.reply_timeout_s >= self.health.stalled_after_s:
            msg = (
                f"health.stalled_after_s is {self.health.stalled_after_s}, expected above "
                f"inference.reply_timeout_s ({self.inference.reply_timeout_s})"
            )
            raise ValueError(msg)
        return self

    @property
    def old_names(self) -> tuple[OldName, ...]:
        """Keys that a person should rename, in the files and variables that were read."""
        return self._old_names

    def note(self, old_names: Iterable[OldName]) -> None:
        """Remember that keys are written by an old name."""
        self._old_names += tuple(old_names)

    def secrets(self) -> frozenset[str]:
        """Every password and token in plain text, for the log to look out for. Never print it."""
        return frozenset(filter(None, self._secrets()))

    def _secrets(self) -> Iterator[str | None]:
        for camera in self.cameras.values():
            yield from camera.source.secrets()
            yield _plain(camera.password)
        in_url = urlsplit(self.redis.url.get_secret_value()).password
        yield from (in_url, unquote(in_url or ""))
        options = parse_qsl(urlsplit(self.redis.url.get_secret_value()).query)
        yield from (value for name, value in options if name.endswith("password"))
        yield from map(_plain, (self.redis.password, self.redis.sentinel_password))
        yield from map(_plain, (self.inference.token, self.http.token))
        for sink in self.sinks.values():
            yield from sink.secrets()


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
