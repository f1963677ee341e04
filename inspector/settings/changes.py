"""Which settings take effect while the service runs, and what is in force then: no I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from inspector.settings.load import build_settings
from inspector.settings.settings import Settings

RELOADABLE = frozenset(
    {
        "inspection.threshold",
        "inspection.thresholds",
        "inspection.min_frames_seen",
        "inspection.min_size_px",
        "cameras.*.trigger_wait_ms",
        "cameras.*.frozen_after_s",
        "cameras.*.dark_below",
        "cameras.*.optics",
        "evidence.passed_share",
        "evidence.near_threshold",
        "evidence.near_quota_gb",
        "evidence.jpeg_quality",
        "evidence.quota_gb",
        "evidence.free_floor_gb",
        "evidence.timeout_ms",
        "process.same_place",
        "process.same_place_px",
        "process.failed",
        "process.not_inspected",
        "process.share",
        "process.share_units",
        "process.lock",
        "products.unknown",
        "products.by_serial",
        "log.level",
    }
)
"""Dotted keys of reloadable settings; `*` stands for every camera. All others need a restart."""


OF_THE_MODEL = (
    "batching.max_regions",
    "inference.",
    "inspection.codes",
    "inspection.threshold",
)
"""Keys, or prefixes of keys, that the deployed model may contradict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """The changes in a settings file that was read again."""

    settings: Settings
    """The settings in force from now on: new values of reloadable keys, old ones of all others."""
    applied: tuple[str, ...]
    """Dotted keys whose new value takes effect now."""
    needs_restart: tuple[str, ...]
    """Dotted keys with a new value that waits for the next start."""

    @property
    def concern_model_now(self) -> bool:
        """Whether the model may contradict a change that takes effect now."""
        return any(key.startswith(OF_THE_MODEL) for key in self.applied)

    @property
    def concern_model_later(self) -> bool:
        """Whether the model may contradict a change that waits for the next start."""
        return any(key.startswith(OF_THE_MODEL) for key in self.needs_restart)


def compare(running: Settings, wanted: Settings) -> Changes:
    """Separate changes that take effect now from those that wait for a restart.

    Raises:
        ConfigurationError: new values of what can be reloaded contradict old ones of the rest.

    """
    before, after = dict(_leaves(running)), dict(_leaves(wanted))
    differing = sorted(
        key for key in before.keys() | after.keys() if before.get(key) != after.get(key)
    )
    applied = tuple(
        key for key in differing if is_reloadable(key) and key in before and key in after
    )
    waiting = tuple(key for key in differing if key not in applied)
    if not applied:
        return Changes(settings=running, applied=(), needs_restart=waiting)
    content = {name: _plain(getattr(running, name)) for name in Settings.model_fields}
    for key in applied:
        _put(content, key.split("."), after[key])
    origin = "settings"
    if waiting:
        origin += f" (with {', '.join(waiting)} as before, until a restart)"
    settings = build_settings(Settings, content, origin=origin)
    return Changes(settings=settings, applied=applied, needs_restart=waiting)


def is_reloadable(key: str) -> bool:
    """Whether a change of this dotted key takes effect without a restart."""
    section, *rest = key.split(".")
    return (".".join([section, "*", *rest[1:]]) if section == "cameras" else key) in RELOADABLE


def _leaves(settings: Settings) -> Iterator[tuple[str, Any]]:
    """Every value with its dotted key; a camera, or a sink, is a section of its own."""
    for name in Settings.model_fields:
        section = getattr(settings, name)
        if isinstance(section, dict):
            for inner, of_inner in section.items():
                yield from _values(f"{name}.{inner}", of_inner)
        else:
            yield from _values(name, section)


def _values(prefix: str, section: BaseModel) -> Iterator[tuple[str, Any]]:
    for key in type(section).model_fields:
        yield f"{prefix}.{key}", getattr(section, key)


def _plain(section: Any) -> dict[str, Any]:
    """A section, or those of all cameras or sinks, as plain values; checked again later."""
    if isinstance(section, BaseModel):
        return {
            key: value.model_dump() if isinstance(value, BaseModel) else value
            for key, value in section
        }
    return {camera_id: _plain(camera) for camera_id, camera in section.items()}


def _put(content: dict[str, Any], where: list[str], value: object) -> None:
    for part in where[:-1]:
        content = content[part]
    content[where[-1]] = value
