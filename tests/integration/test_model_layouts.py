"""Models as exporters write them, on a real Triton: read rightly, or refused with their layout."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from inspector.embedded.triton.server import EmbeddedTriton
from tests.kit.inspector_command import inspector
from tests.kit.triton_server import embedded_triton_in_background

END_TO_END = "an end-to-end export (left, top, right, bottom, score, class number)"
RT_DETR = "an RT-DETR head of 2 classes"
SETTINGS = """
[station]
site = "plant1"
line = "smt2"
name = "aoi"
[cameras.top]
source = "file:line"
size = "640x640"
[evidence]
enabled = false
[inference]
url = "{url}"
model = "{model}"
{more}
[inspection]
codes = {codes}
"""


@pytest.fixture(scope="module")
def cases(shared: Path) -> Path:
    return shared / "cases" / "model"


@pytest.fixture(scope="module")
def exports(cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedTriton]:
    """One server with the model of each case, under the case's name."""
    repository = tmp_path_factory.mktemp("models")
    for case in (
        "end2end-one-class",
        "end2end-two-classes",
        "rtdetr-two-classes",
        "names-in-metadata",
        "range-0-255",
        "sequence-batcher",
        "small-region",
    ):
        model = shutil.copytree(cases / case / "repository" / "yolo", repository / case)
        config = model / "config.pbtxt"
        config.write_text(config.read_text().replace('name: "yolo"', f'name: "{case}"'))
    shutil.copytree(cases / "no-config-pbtxt" / "repository" / "yolo", repository / "bare")
    with embedded_triton_in_background(repository) as server:
        yield server


@pytest.mark.parametrize(
    ("case", "layout"),
    [
        ("end2end-one-class", END_TO_END),
        ("end2end-two-classes", END_TO_END),
        ("rtdetr-two-classes", RT_DETR),
    ],
)
def test_what_fits_two_readings_is_refused_with_its_name_whatever_the_codes(
    cases: Path, exports: EmbeddedTriton, tmp_path: Path, case: str, layout: str
) -> None:
    for codes in (["dent"], ["scratch", "dent"]):
        told = refusal(exports, tmp_path, cases, case, codes)
        assert layout in told
        assert "classes, but" not in told, "a number of classes that nobody can know"


def test_class_names_in_another_order_are_refused_and_both_orders_named(
    cases: Path, exports: EmbeddedTriton, tmp_path: Path
) -> None:
    told = refusal(exports, tmp_path, cases, "names-in-metadata", ["scratch", "dent"])
    assert told.endswith(
        "inspection.codes is scratch, dent, but the metadata of model names-in-metadata names: "
        "dent, scratch"
    )


def test_class_names_in_the_models_order_are_accepted(
    cases: Path, exports: EmbeddedTriton, tmp_path: Path
) -> None:
    (tmp_path / "line").symlink_to(cases / "names-in-metadata" / "line")
    config = settings(exports, tmp_path, "names-in-metadata", ["dent", "scratch"])
    done = inspector("replay", "line", "-c", config, "-o", "-", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    failed = ['"result":"FAILED"' in line for line in done.stdout.splitlines()]
    assert failed == [False, True, False, True]
    assert '"code":"scratch"' in done.stdout


def test_a_network_that_wants_0_to_255_is_not_sent_nearly_black_pictures(
    cases: Path, exports: EmbeddedTriton, tmp_path: Path
) -> None:
    told = refusal(exports, tmp_path, cases, "range-0-255", ["scratch", "dent"])
    assert 'expected [inference] pixel_range = "0..255"' in told
    judged(exports, tmp_path, "range-0-255", "scratch", more='pixel_range = "0..255"')


def test_a_model_file_without_a_configuration_is_served_as_the_file_says(
    cases: Path, exports: EmbeddedTriton, tmp_path: Path
) -> None:
    (tmp_path / "line").symlink_to(cases / "no-config-pbtxt" / "line")
    judged(exports, tmp_path, "bare", "dent", more="")


def test_a_sequence_batcher_is_refused(
    cases: Path, exports: EmbeddedTriton, tmp_path: Path
) -> None:
    told = refusal(exports, tmp_path, cases, "sequence-batcher", ["scratch", "dent"])
    assert told.endswith("has sequence_batching; expected one that takes each request by itself")


def test_a_small_region_is_named_by_check_and_found_where_it_is_scaled_up(
    cases: Path, exports: EmbeddedTriton, tmp_path: Path
) -> None:
    (tmp_path / "line").symlink_to(cases / "small-region" / "line")
    config = settings(exports, tmp_path, "small-region", ["scratch", "dent"], size="160x160")
    told = inspector("check", "-c", config, cwd=tmp_path).stdout
    assert "warn  camera top: its region of 160x160 fills little of the model's input" in told
    judged(exports, tmp_path, "small-region", "dent", more="enlarge = true", size="160x160")


@pytest.mark.parametrize(
    ("case", "head", "codes"),
    [
        ("end2end-one-class", "end_to_end", ["dent"]),
        ("end2end-two-classes", "end_to_end", ["scratch", "dent"]),
        ("rtdetr-two-classes", "rt_detr", ["scratch", "dent"]),
    ],
)
def test_a_layout_that_is_stated_is_read(
    *, cases: Path, exports: EmbeddedTriton, tmp_path: Path, case: str, head: str, codes: list[str]
) -> None:
    (tmp_path / "line").symlink_to(cases / case / "line")
    judged(exports, tmp_path, case, "dent", more=f'head = "{head}"', codes=codes)


def judged(
    exports: EmbeddedTriton,
    folder: Path,
    case: str,
    code: str,
    *,
    more: str,
    size: str = "640x640",
    codes: Sequence[str] = ("scratch", "dent"),
) -> None:
    """The second and the fourth picture of the case show a defect of this code, and only they."""
    config = settings(exports, folder, case, list(codes), more=more, size=size)
    done = inspector("replay", "line", "-c", config, "-o", "-", cwd=folder)
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    found = [{defect["code"] for defect in event["defects"]} for event in events]
    assert found == [set(), {code}, set(), {code}]


def settings(
    exports: EmbeddedTriton,
    folder: Path,
    case: str,
    codes: list[str],
    *,
    more: str = "",
    size: str = "640x640",
) -> Path:
    file = folder / "line.toml"
    text = SETTINGS.format(url=exports.grpc_url, model=case, codes=codes, more=more)
    file.write_text(text.replace("640x640", size), encoding="utf-8")
    return file


def refusal(exports: EmbeddedTriton, folder: Path, cases: Path, case: str, codes: list[str]) -> str:
    """What a replay of the case says last; it must be a wrong configuration, and no verdict."""
    if not (folder / "line").exists():
        (folder / "line").symlink_to(cases / case / "line")
    config = settings(exports, folder, case, codes)
    done = inspector("replay", "line", "-c", config, "-o", "-", cwd=folder)
    assert done.returncode == 78, done.stderr
    assert "PASSED" not in done.stdout
    return done.stderr.splitlines()[-1]
