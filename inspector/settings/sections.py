"""The sections of the settings, one frozen model each. Units are in the names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from inspector.core.paths import find
from inspector.core.recipes import ANOMALY, ANOMALY_THRESHOLD, Crop, HeadName, ModelName, Stated
from inspector.settings.types import (
    DIGITS,
    EMBEDDED,
    FURTHER_MODEL,
    HEADER,
    MIN_PICTURE_PX,
    PORTS,
    REGION_NUMBERS,
    FeatureName,
    Identifier,
    Milliseconds,
    PictureSize,
    Seconds,
    Secret,
    Section,
    Share,
    Source,
    Tensors,
    Transport,
)
from inspector.settings.unit_sections import (
    SMALLEST_MARK_PX,
    Arrival,
    CropSetting,
    OpticsSettings,
    SerialSettings,
    Travel,
    Trigger,
)


class StationSettings(Section):
    """Where this is: becomes `<site>.<line>.<name>` in keys and events."""

    site: Identifier
    line: Identifier
    name: Identifier

    @property
    def id(self) -> str:
        """The station's id, the hash tag of its Redis keys."""
        return f"{self.site}.{self.line}.{self.name}"


class CameraSettings(Section):
    """One camera on the line."""

    source: Source = Field(repr=False)
    size: PictureSize
    password: SecretStr | None = None
    tls_ca: Path | None = None
    trigger: Trigger = "every_frame"
    frames_per_unit: Annotated[int, Field(ge=0, le=16)] = 0
    """How many frames of each unit are inspected; 0 takes 3 with `presence` and 1 otherwise."""
    travel: Travel = "left"
    travel_px_per_s: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    """`presence`: how fast units move; 0 learns it."""
    arrival: Arrival = "border"
    """`presence`: something that appears inside the view is a unit only with `anywhere`."""
    unit_length_px: Annotated[float, Field(ge=0, le=100_000)] = 0.0
    """`presence`: length of the longest unit, along the travel; 0 learns it. Anything much longer
    is several units that touch."""
    trigger_wait_ms: Milliseconds = 500.0
    """`external`: how long after its trigger a unit may wait for its first frame."""
    crop: CropSetting = "auto"
    tile_overlap_px: Annotated[int, Field(ge=0, le=4096)] = 96
    """At least the size of the largest defect, so that each is whole in one tile."""
    region: tuple[int, int, int, int] | None = None
    """x, y, width, height of the part that is inspected; None for the whole picture."""
    serial: SerialSettings | None = None
    frozen_after_s: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """A camera whose pictures stay exactly the same for this long is frozen; 0 never checks."""
    dark_below: Annotated[int, Field(ge=0, le=255)] = 16
    """A picture without anything as bright as this (0 to 255) shows no unit; 0 never checks."""
    optics: OpticsSettings = Field(default_factory=OpticsSettings)
    features: dict[FeatureName, bool | int | float | str] = Field(default_factory=dict)
    """Written into the camera at every connection, in this order, and read back."""
    when_full: Literal["drop_oldest", "wait"] = "drop_oldest"
    buffers: Annotated[int, Field(ge=0, le=1024)] = 0
    """Image buffers; 0 takes as many as the pipeline needs."""
    connect_timeout_s: Seconds = 4.0
    read_timeout_s: Seconds = 1.0
    silent_after_s: Seconds = 2.0
    reconnect_first_s: Seconds = 0.25
    reconnect_max_s: Seconds = 2.0

    @model_validator(mode="after")
    def _trigger_suits(self) -> Self:
        if self.trigger == "external" and self.when_full == "wait":
            msg = 'trigger is "external" with when_full "wait": nobody triggers a recording'
            raise ValueError(msg)
        if self.trigger == "every_frame" and self.frames_per_unit > 1:
            msg = (
                f"frames_per_unit is {self.frames_per_unit}, expected 0 or 1 with trigger"
                ' "every_frame": each frame is a unit'
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _features_have_a_camera(self) -> Self:
        if self.features and not self.source.has_features:
            msg = (
                f"features has {', '.join(self.features)}, but this kind of camera is not set"
                " through it; expected a genicam: source"
            )
            raise ValueError(msg)
        return self

    @property
    def frames_of_unit(self) -> int:
        """How many frames of each unit are inspected."""
        if self.trigger == "every_frame":
            return 1
        return self.frames_per_unit or (3 if self.trigger == "presence" else 1)

    @property
    def cropped_to(self) -> Crop:
        """The part of a frame that is inspected, with `auto` resolved."""
        if self.crop == "auto":
            return "unit" if self.trigger == "presence" else "region"
        return self.crop

    @field_validator("region", mode="before")
    @classmethod
    def _region_is_four_numbers(cls, region: object) -> object:
        if region is None or (
            isinstance(region, list | tuple)
            and len(region) == REGION_NUMBERS
            and all(isinstance(number, int) for number in region)
        ):
            return region
        msg = "expected four whole numbers in pixels: [x, y, width, height]"
        raise ValueError(msg)

    @model_validator(mode="after")
    def _mark_fits(self) -> Self:
        mark = self.optics.mark
        if mark is not None:
            x, y, width, height = mark
            inside = x >= 0 and y >= 0 and min(width, height) >= SMALLEST_MARK_PX
            if not (inside and x + width <= self.size[0] and y + height <= self.size[1]):
                msg = (
                    f"optics.mark is {list(mark)}, expected x, y, width and height of a part of the"
                    f" {self.size} picture, at least {SMALLEST_MARK_PX} pixels wide and high"
                )
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.region is not None:
            x, y, width, height = self.region
            inside = x >= 0 and y >= 0 and min(width, height) >= MIN_PICTURE_PX
            if not (inside and x + width <= self.size[0] and y + height <= self.size[1]):
                msg = (
                    f"region is {list(self.region)}, expected x, y, width and height of a part of "
                    f"the {self.size} picture, at least {MIN_PICTURE_PX} pixels wide and high"
                )
                raise ValueError(msg)
        if self.when_full == "wait" and self.source.traits.realtime:
            msg = (
                'when_full is "wait", which is for recordings; a live camera does not wait: '
                'expected "drop_oldest"'
            )
            raise ValueError(msg)
        if self.reconnect_first_s > self.reconnect_max_s:
            msg = (
                f"reconnect_first_s is {self.reconnect_first_s}, "
                f"expected at most reconnect_max_s ({self.reconnect_max_s})"
            )
            raise ValueError(msg)
        return self


Level = Annotated[float, Field(ge=-1000, le=1000)]
Deviation = Annotated[float, Field(gt=0, le=1000)]


class BatchingSettings(Section):
    """How frames become requests."""

    max_regions: Annotated[int, Field(ge=1, le=64)] = 4
    window_ms: Annotated[float, Field(ge=0, le=1000)] = 2.0
    lane_capacity: Annotated[int, Field(ge=1, le=256)] = 2
    max_age_ms: Milliseconds = 500.0


AUTHORIZATION = "authorization"
STATED_KEYS = tuple(field.name for field in fields(Stated))
"""Keys of `[inference]`, and of a product's `[model]`: statements about one model."""
Levels = tuple[Level, Level, Level]
Deviations = tuple[Deviation, Deviation, Deviation]


FurtherModel = Annotated[str, Field(pattern=FURTHER_MODEL, max_length=64)]


class InferenceSettings(Section):
    """The model server."""

    url: str = "127.0.0.1:8001"
    model: Annotated[str, Field(min_length=1)] = "pcb_inspection"
    version: Annotated[str, Field(pattern=DIGITS)] = ""
    golden: str = "pcb_golden_inspection"
    """The model that compares units of a product with its reference, if it has one; empty: none."""
    also: Annotated[tuple[FurtherModel, ...], Field(max_length=7)] = ()
    """Further models, each of which sees every chosen frame too: `name`, or `name/version`."""
    golden_version: Annotated[str, Field(pattern=DIGITS)] = ""
    transport: Transport = "stream"
    tensors: Tensors = "auto"
    max_in_flight: Annotated[int, Field(ge=1, le=64)] = 2
    reply_timeout_s: Seconds = 5.0
    connect_timeout_s: Seconds = 2.0
    input: str | None = None
    colour: Literal["auto", "bgr", "rgb"] = "auto"
    pixel_range: Literal["auto", "0..1", "0..255"] = "auto"
    """The range that a float input expects; auto: as the model says, else 0..1."""
    mean: Levels | None = None
    """Subtracted from each channel of a float input, in its range: red, green, blue."""
    deviation: Deviations | None = None
    """Each channel is divided by it then."""
    padding: Annotated[int, Field(ge=0, le=255)] | None = None
    """The grey beside a region that does not fill the input; None: as the model says, else 114."""
    head: HeadName = "auto"
    """What outputs mean whose shapes and names fit several kinds; auto: refused then."""
    good: Annotated[tuple[str, ...], Field(max_length=1000)] = ()
    """Classes that are no defect, for a model that gives every picture or pixel a class."""
    enlarge: bool = False
    """Whether a region smaller than the model's input is scaled up to it, as many trainings do."""
    stretch: bool = False
    """Whether a region is stretched to the input, whatever its proportions, as Anomalib trains."""
    tls: bool = False
    tls_ca: Path | None = None
    token: Secret | None = None
    token_header: Annotated[str, Field(pattern=HEADER)] = AUTHORIZATION
    """`authorization` carries "Bearer" and the token; any other header the token alone."""
    repository: Path = Path("model_repository")
    """The repository of the embedded server; for another server, where this machine sees its
    files."""

    @property
    def known_repository(self) -> Path | None:
        """Where the server's files are; None if that is not known of a server elsewhere."""
        is_known = self.url == EMBEDDED or "repository" in self.model_fields_set
        return find(self.repository) if is_known else None

    @property
    def stated(self) -> Stated:
        """The statements about the station's model."""
        return Stated(**{key: getattr(self, key) for key in STATED_KEYS})

    @property
    def also_models(self) -> tuple[ModelName, ...]:
        """The further models, by name and version."""
        parts = (told.partition("/") for told in self.also)
        stated = Stated(good=self.good)
        return tuple(
            ModelName(name=name, version=version, stated=stated) for name, _, version in parts
        )

    @model_validator(mode="after")
    def _models_differ(self) -> Self:
        names = [self.model, *filter(None, [self.golden]), *(m.name for m in self.also_models)]
        for name in names:
            if names.count(name) > 1 and self.also:
                msg = f"also, model and golden name {name!r} twice, expected each model once"
                raise ValueError(msg)
        return self

    @field_validator("token")
    @classmethod
    def _token_fits_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        text = token.get_secret_value() if token else ""
        if not text.isascii() or any(not "!" <= character <= "~" for character in text):
            msg = "expected printable ASCII characters without spaces"
            raise ValueError(msg)
        return token

    @field_validator("url")
    @classmethod
    def _url_is_an_address(cls, url: str) -> str:
        if url == EMBEDDED:
            return url
        host, colon, port = url.rpartition(":")
        is_host = host and not any(c in "/?#@" or c.isspace() for c in host)
        if not (is_host and colon and port.isdecimal() and 0 < int(port) < PORTS):
            msg = 'expected HOST:PORT of Triton\'s gRPC endpoint, or "embedded"'
            raise ValueError(msg)
        return url


class InspectionSettings(Section):
    """The rules from findings to defects."""

    codes: Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)] = (
        "open",
        "short",
        "mousebite",
        "spur",
        "copper",
        "pin-hole",
    )
    codes_of: dict[str, Annotated[tuple[str, ...], Field(min_length=1, max_length=1000)]] = Field(
        default_factory=dict
    )
    """The codes of a further model's classes, by its name; `anomaly` if it is not named."""
    threshold: Share = 0.7
    thresholds: dict[str, Share] = Field(default_factory=dict)
    nms_iou: Share = 0.45
    min_size_px: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """The least length of a defect's longer side, in pixels of the unit's picture."""
    min_frames_seen: Annotated[int, Field(ge=0, le=16)] = 0
    """How many frames of a unit must show a defect; 0 takes more than half of those inspected."""
    deadline_ms: Milliseconds = 2000.0

    @model_validator(mode="after")
    def _codes_are_consistent(self) -> Self:
        if len(set(self.codes)) != len(self.codes):
            msg = f"codes is {', '.join(self.codes)}, expected each code once"
            raise ValueError(msg)
        for model, codes in self.codes_of.items():
            if len(set(codes)) != len(codes):
                msg = f"codes_of.{model} is {', '.join(codes)}, expected each code once"
                raise ValueError(msg)
        known = self.codes_with(self.codes_of)
        for code in self.thresholds:
            if code not in (*known, ANOMALY):
                msg = f"thresholds names {code!r}, expected one of: {', '.join(known)}"
                raise ValueError(msg)
        return self

    def classes_of(self, model: str) -> tuple[str, ...]:
        """The codes of a further model's classes, in its order."""
        return self.codes_of.get(model, (ANOMALY,))

    def codes_with(self, also: Iterable[str]) -> tuple[str, ...]:
        """The model's codes, then those that only these further models find."""
        further = (code for model in also for code in self.classes_of(model))
        return tuple(dict.fromkeys((*self.codes, *further)))

    def threshold_of(self, code: str) -> float:
        """The confidence from which on a defect of this code is claimed."""
        everywhere = ANOMALY_THRESHOLD if code == ANOMALY else self.threshold
        return self.thresholds.get(code, everywhere)


class HttpSettings(Section):
    """Metrics, health and status."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8090
    token: Secret | None = None

    @model_validator(mode="after")
    def _open_to_others_only_with_a_token(self) -> Self:
        if self.host not in ("127.0.0.1", "::1", "localhost") and self.token is None:
            msg = f"host is {self.host}, which others can reach: expected http.token to be set too"
            raise ValueError(msg)
        return self


class LogSettings(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class ShutdownSettings(Section):
    """How long SIGTERM may take."""

    drain_timeout_s: Seconds = 8.0
    unit_timeout_s: Seconds = 20.0
    """TimeoutStopSec of the systemd unit, after which systemd kills us."""


class ReloadSettings(Section):
    """How new settings reach the running service, besides SIGHUP."""

    watch: bool = True
    """Check the settings file for changes every second."""


class HealthSettings(Section):
    """When the process counts as stalled."""

    stalled_after_s: Seconds = 15.0
    watchdog_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    """Without progress for this long the process ends itself; 0: never, as under systemd."""
