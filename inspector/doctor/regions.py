"""Finds cameras that show a model pictures much smaller than its input: pure."""

from __future__ import annotations

from inspector.core.geometry import fills_little
from inspector.core.records import ModelInput
from inspector.doctor.findings import Finding, Mark
from inspector.settings.settings import Settings


def small_regions(settings: Settings, model_input: ModelInput) -> list[Finding]:
    """One finding for each camera whose region fills little of the input and is not scaled up."""
    findings = []
    for camera_id, camera in settings.cameras.items():
        width_px, height_px = camera.region[2:] if camera.region is not None else camera.size
        if not fills_little(width_px, height_px, model_input):
            continue
        found = (
            f"its region of {width_px}x{height_px} fills little of the model's input of "
            f"{model_input.width_px}x{model_input.height_px}, and is not scaled up to it"
        )
        advice = "set inference.enlarge = true if training scaled pictures up, as Ultralytics does"
        what = f"camera {camera_id}"
        findings.append(Finding(what=what, mark=Mark.WARN, found=found, advice=advice))
    return findings
