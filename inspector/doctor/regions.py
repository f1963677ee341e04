"""Finds cameras whose pictures do not fit the model's input: pure."""

from __future__ import annotations

from inspector.batching.tiling import pieces_of
from inspector.core.geometry import fills_little, is_shrunk
from inspector.core.records import ModelInput, Rect
from inspector.doctor.findings import Finding, Mark
from inspector.settings.sections import CameraSettings
from inspector.settings.settings import Settings


def regions_that_misfit(settings: Settings, model_input: ModelInput) -> list[Finding]:
    """One finding for each camera whose region is not seen by the model as it is.

    It fills little of the input and is not scaled up, or it is shrunk, or it is cut into tiles.
    What presence cuts out of a picture is not known before a unit comes.
    """
    findings = []
    for camera_id, camera in settings.cameras.items():
        width_px, height_px = _size(camera)
        what, scale = f"camera {camera_id}", f"region of camera {camera_id}"
        own, wanted = f"{width_px}x{height_px}", f"{model_input.width_px}x{model_input.height_px}"
        if fills_little(width_px, height_px, model_input):
            found = (
                f"its region of {own} fills little of the model's input of {wanted}, and is not "
                "scaled up to it"
            )
            advice = (
                "set inference.enlarge = true if training scaled pictures up, as Ultralytics does"
            )
            findings.append(Finding(what=what, mark=Mark.WARN, found=found, advice=advice))
        elif camera.cropped_to == "region" and is_shrunk(width_px, height_px, model_input):
            if camera.crop == "auto" and model_input.own_scale:
                tiles = len(_tiles(camera, model_input))
                found = (
                    f"{own} is inspected in {tiles} tiles of up to {wanted}, each as expensive as "
                    f"a picture; cameras.{camera_id}.region can leave out what does not matter"
                )
                findings.append(Finding(what=scale, mark=Mark.OK, found=found))
                continue
            factor = min(model_input.width_px / width_px, model_input.height_px / height_px)
            found = (
                f"{own} is shrunk to {factor * width_px:.0f}x{factor * height_px:.0f} for the "
                f"model (x{factor:.2f}): small defects vanish"
            )
            advice = (
                f"set cameras.{camera_id}.region to the part that matters, or "
                f'cameras.{camera_id}.crop to "tiles"; leave it if training shrank pictures, too'
            )
            findings.append(Finding(what=scale, mark=Mark.WARN, found=found, advice=advice))
    return findings


def _size(camera: CameraSettings) -> tuple[int, int]:
    return camera.region[2:] if camera.region is not None else camera.size


def _tiles(camera: CameraSettings, model_input: ModelInput) -> tuple[Rect, ...]:
    return pieces_of(
        Rect(*(camera.region or (0, 0, *camera.size))),
        width_px=model_input.width_px,
        height_px=model_input.height_px,
        overlap_px=camera.tile_overlap_px,
    )
