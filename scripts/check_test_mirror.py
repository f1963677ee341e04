"""Names every module of `inspector/` without a test file, and every unit test of no module.

The tests of `inspector/flow/inbox.py` are in `tests/unit/flow/test_inbox.py`, or in several files
called `test_inbox_….py`. Modules that only declare things, and decide nothing, need none. All
others stand below with the tests that try them, and with the reason why these are elsewhere.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE, UNIT_TESTS = "inspector", "tests/unit"

NOT_OF_A_MODULE = frozenset({"benchmarks", "deploy", "kit", "scripts", "page/test_words.py"})
"""Folders and files with unit tests of something else than modules of the package."""

WITH_A_NEIGHBOUR: Mapping[str, tuple[str, ...]] = {
    "tests/unit/batching/test_preprocess.py": ("core/warping",),
    "tests/unit/commands/test_demo_summary.py": ("commands/demo", "commands/demo_mes"),
    "tests/unit/events/test_wording.py": ("core/verdicts",),
    "tests/unit/inference/outputs/test_queries.py": (
        "inference/outputs/labels",
        "inference/outputs/yolox",
    ),
    "tests/unit/inference/outputs/test_registry.py": (
        "inference/describing",
        "inference/exporter_notes",
        "inference/outputs/kind",
        "inference/outputs/stated",
    ),
    "tests/unit/inference/outputs/test_yolo.py": (
        "inference/outputs/checks",
        "inference/outputs/detections",
        "inference/outputs/rows",
    ),
    "tests/unit/journal/test_journal.py": (
        "journal/pruning",
        "journal/rows",
        "journal/sqlite_thread",
    ),
    "tests/unit/page/test_archive.py": ("page/archive_rows",),
    "tests/unit/page/test_preview.py": ("page/viewer",),
    "tests/unit/products/test_files.py": ("products/recipes", "settings/toml_files"),
    "tests/unit/products/test_store.py": ("products/pictures", "products/stored"),
    "tests/unit/publish/test_sink_worker.py": ("publish/delivery",),
    "tests/unit/service/test_station_process.py": ("service/station_locks",),
    "tests/unit/settings/test_load.py": (
        "settings/challenge_sections",
        "settings/event_sections",
        "settings/page_sections",
        "settings/product_sections",
        "settings/sections",
        "settings/sink_sections",
        "settings/types",
        "settings/unit_sections",
        "settings/wording",
    ),
    "tests/unit/simulation/test_belt.py": ("simulation/options", "simulation/site"),
    "tests/unit/sinks/test_registry.py": ("core/plugins", "sinks/kind"),
    "tests/unit/sources/coded/test_continuity.py": (
        "sources/coded/cadence",
        "sources/coded/decoding",
        "sources/coded/picture_order",
    ),
    "tests/unit/sources/coded/test_bits.py": ("sources/coded/codecs", "sources/coded/h265"),
    "tests/unit/sources/test_uri.py": (
        "sources/files/uri",
        "sources/opening",
        "sources/registry",
        "sources/rtsp/uri",
        "sources/simulated/uri",
        "sources/v4l2/uri",
    ),
    "tests/unit/triggers/presence/test_tracks.py": ("triggers/presence/on_belt",),
    "tests/unit/triggers/presence/test_trigger_in_place.py": ("triggers/presence/occupancy",),
}
"""By the test file of the module whose rules they spell out, or whose halves they are: neither says
anything without the other."""

BY_REAL_PARTS: Mapping[str, tuple[str, ...]] = {
    "tests/integration/test_bench.py": ("bench/published",),
    "tests/integration/test_challenges.py": (
        "challenge/desk",
        "commands/challenge",
        "pipeline/challenges",
        "service/station_challenges",
    ),
    "tests/integration/test_commands.py": ("cli", "commands/triton", "core/background"),
    "tests/integration/test_interrupted.py": ("__main__",),
    "tests/integration/test_consumer.py": ("events/consumer",),
    "tests/integration/test_doctor.py": (
        "commands/check",
        "doctor/clock",
        "doctor/examination",
        "doctor/redis",
        "doctor/redis_room",
        "doctor/redis_trials",
    ),
    "tests/integration/test_a_sink_of_another_package.py": ("doctor/sinks",),
    "tests/integration/test_doctor_presence.py": ("doctor/presence", "triggers/presence/trial"),
    "tests/integration/test_embedded_triton.py": (
        "embedded/triton/backends/onnxruntime/model",
        "embedded/triton/backends/python/numpy_2_tensors",
        "embedded/triton/process",
        "embedded/triton/server",
        "inference/connection",
        "inference/triton",
    ),
    "tests/integration/test_events_command.py": ("commands/events",),
    "tests/integration/test_evidence_store.py": ("evidence/folder", "evidence/store"),
    "tests/integration/test_http.py": (
        "page/answers",
        "page/http",
        "page/operator_page",
        "page/static_files",
    ),
    "tests/integration/test_http_connections.py": ("ops/descriptors", "page/connections"),
    "tests/integration/test_last_resort.py": ("ops/last_resort",),
    "tests/integration/test_line_reload.py": ("service/reload",),
    "tests/integration/test_line_replay.py": ("commands/replay", "commands/replaying"),
    "tests/integration/test_line_shutdown.py": ("service/faults", "service/service"),
    "tests/integration/test_model_command.py": (
        "commands/model/adding",
        "commands/model/app",
        "commands/model/asking",
        "commands/model/pictures",
        "commands/model/working",
        "embedded/triton/onnx_files",
        "embedded/triton/onnx_runs",
    ),
    "tests/integration/test_page.py": ("page/preview_socket", "page/unit_routes"),
    "tests/integration/test_page_products.py": ("page/beside", "page/shelf_routes"),
    "tests/integration/test_product_changes.py": (
        "page/product_routes",
        "products/command_stream",
        "products/known",
        "service/station_products",
    ),
    "tests/integration/test_product_command.py": (
        "commands/product_app",
        "commands/running_service",
    ),
    "tests/integration/test_readers.py": ("publish/readers", "service/telemetry"),
    "tests/integration/test_redis_access.py": ("redis_io/rights",),
    "tests/integration/test_redis_drills.py": ("publish/worker",),
    "tests/integration/test_redis_layouts.py": ("redis_io/client", "redis_io/cluster"),
    "tests/integration/test_redis_stream.py": (
        "embedded/redis/server",
        "publish/sinks/redis_streams",
    ),
    "tests/integration/test_redis_wheel.py": ("embedded/redis/wheel",),
    "tests/integration/test_rtsp_losses.py": ("sources/rtsp/losses",),
    "tests/integration/test_rtsp_refusals.py": ("sources/rtsp/errors", "sources/rtsp/probe"),
    "tests/integration/test_rtsp_source.py": ("sources/rtsp/camera",),
    "tests/integration/test_serials.py": ("serials/serial_reader",),
    "tests/integration/test_shared_triton.py": (
        "inference/reply_tensors",
        "inference/shared_tensors",
    ),
    "tests/integration/test_host_monitor.py": ("service/certificates", "service/host_monitor"),
    "tests/integration/test_stored_pictures.py": (
        "pipeline/stored_pictures",
        "service/picture_check",
    ),
    "tests/integration/test_trigger_stream_begins_again.py": ("intake/stream_reader",),
    "tests/integration/test_triggers.py": (
        "page/trigger_routes",
        "service/external_triggers",
        "triggers/external/worker",
    ),
    "tests/integration/test_genicam_source.py": (
        "commands/cameras",
        "sources/found",
        "sources/genicam/camera",
        "sources/genicam/discovery",
        "sources/genicam/library",
    ),
    "tests/integration/test_v4l2_source.py": (
        "sources/v4l2/camera",
        "sources/v4l2/device",
        "sources/v4l2/discovery",
        "sources/v4l2/gaps",
        "sources/v4l2/pixels",
    ),
    "tests/integration/test_web_proxy.py": ("core/web_proxy",),
    "tests/integration/test_without_triton.py": ("service/servers",),
    "tests/pipeline/test_cameras_come_and_go.py": ("capture/camera_reader", "capture/worker"),
    "tests/pipeline/test_races_in_the_inference_stage.py": ("inference/worker",),
    "tests/pipeline/test_units_at_the_edges.py": ("pipeline/build", "pipeline/unit_services"),
    "tests/pipeline/test_units_ten_thousand.py": ("results/verdict_desk", "results/worker"),
}
"""By what tries them with a Redis, a Triton, a camera, a browser, a process, or all stages at once:
a fake of these would only repeat what the module believes of them."""


def decides(source: str) -> bool:
    """Whether a module does more than declare types, constants and records."""
    branches = (
        *(ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.Match, ast.BoolOp),
        *(ast.Try, ast.With, ast.AsyncWith, ast.comprehension),
    )
    return any(isinstance(node, branches) for node in ast.walk(ast.parse(source)))


def problems(root: Path = ROOT) -> Iterator[str]:
    """One line for each module, test or exception that breaks the rule."""
    modules = {
        str(path.relative_to(root / PACKAGE).with_suffix("")): path
        for path in sorted((root / PACKAGE).rglob("*.py"))
        if path.name != "__init__.py"
    }
    tests = {
        str(path.relative_to(root / UNIT_TESTS)) for path in (root / UNIT_TESTS).rglob("test_*.py")
    }
    own = {test: module for module in modules for test in tests if _is_of(module, test)}
    tested = set(own.values())
    elsewhere = {
        module: test
        for table in (WITH_A_NEIGHBOUR, BY_REAL_PARTS)
        for test, named in table.items()
        for module in named
    }
    for module, path in modules.items():
        if module not in tested | elsewhere.keys() and decides(path.read_text(encoding="utf-8")):
            folder, _, name = module.rpartition("/")
            wanted = "/".join(filter(None, (UNIT_TESTS, folder, f"test_{name}.py")))
            yield f"{PACKAGE}/{module}.py: no {wanted}"
    for module, test in elsewhere.items():
        if module not in modules:
            yield f"{PACKAGE}/{module}.py: is gone, and still an exception"
        elif module in tested:
            yield f"{PACKAGE}/{module}.py: has tests of its own, and is still an exception"
        elif not (root / test).is_file():
            yield f"{PACKAGE}/{module}.py: its tests are said to be in {test}, which is gone"
    for test in sorted(tests - own.keys()):
        if test not in NOT_OF_A_MODULE and test.partition("/")[0] not in NOT_OF_A_MODULE:
            yield f"{UNIT_TESTS}/{test}: no module of this name"


def _is_of(module: str, test: str) -> bool:
    folder, _, name = module.rpartition("/")
    beginning = f"{folder}/test_{name}" if folder else f"test_{name}"
    return test == f"{beginning}.py" or test.startswith(f"{beginning}_")


def main() -> int:
    """Print every problem; 1 if there is one."""
    found = list(problems())
    sys.stdout.writelines(f"{line}\n" for line in found)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
