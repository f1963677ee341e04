"""`inspector product`: what it prints, refuses and leaves behind."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import numpy as np
import pytest

from inspector.commands.products import Products, checked_name
from inspector.core.errors import ConfigurationError
from inspector.core.recipes import JobState
from inspector.journal.journal import Journal
from inspector.products.kept import JOBS_NOTE, KeptJob, KeptJobs
from inspector.products.store import TaughtReference, TaughtUnit
from inspector.settings.load import build_settings
from inspector.settings.settings import Settings

MODEL_REPOSITORY = Path(__file__).parents[3] / "model_repository"


def station(folder: Path, **sections) -> Products:
    content = {
        "station": {"site": "a", "line": "b", "name": "c"},
        "cameras": {"top": {"source": "sim:", "size": "640x480", "trigger": "presence"}},
        "journal": {"directory": folder},
        "http": {"port": 1},  # where nobody answers
        "inference": {"url": "embedded", "repository": MODEL_REPOSITORY},
    }
    return Products.of(build_settings(Settings, content | sections))


@pytest.fixture
def products(tmp_path):
    return station(tmp_path)


def teach(products: Products, name: str, shade: int = 90) -> None:
    mean = np.full((60, 80, 3), shade, np.uint8)
    products.store.add_reference(
        name,
        TaughtReference(
            mean=mean,
            deviation=np.zeros((60, 80), np.uint8),
            units=[
                *(TaughtUnit(number=n, picture=mean) for n in (4, 5, 6)),
                TaughtUnit(number=7, picture=mean, used=False, why="differs"),
            ],
            camera="top",
            revision="1",
            made_by="page",
        ),
    )


def refusals(call, *args, **options) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        call(*args, **options)
    return list(refused.value.problems)


def test_a_list_says_which_revision_and_reference_is_in_force(products, capsys):
    products.store.write("controller", b'revision = "C"\n')
    products.store.write("wrong", b"[inspection]\nthreshold = 7\n")
    teach(products, "controller")
    products.print_list(as_json=False)
    rows = [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["product", "line", "revision", "model", "reference", "mistakes"],
        ["controller", "C (not in force yet)", "pcb_inspection", "none (1 is not approved)", "0"],
        ["default", "the settings", "pcb_inspection", "none", "0"],
        ["wrong", "none", "1"],
    ]
    products.catalogue.recipe("controller")
    products.approve("controller", None, "anna")
    capsys.readouterr()
    products.print_list(as_json=True)
    [row, *_] = json.loads(capsys.readouterr().out)
    assert (row["revision"], row["reference"], row["mistakes"]) == ("C", "1", 0)


async def _with_jobs(folder: Path, note: str) -> None:
    journal = Journal.open(folder, retention_s=3600, stream_retention_s=3600, limit_bytes=10**8)
    try:
        await journal.keep_notes({JOBS_NOTE: note})
    finally:
        journal.close()


def test_a_list_says_what_the_line_makes_whether_or_not_the_service_runs(
    products, tmp_path, capsys
):
    products.store.write("controller", b"")
    job = KeptJob(number=1, product="controller", state=JobState.TEACHING)
    kept = KeptJobs(last_number=1, cameras={"top": job, "gone": job})
    asyncio.run(_with_jobs(tmp_path, kept.text()))
    products.print_list(as_json=True)
    by_name = {row["product"]: row["line"] for row in json.loads(capsys.readouterr().out)}
    assert by_name == {"controller": {"top": "teaching"}, "default": {}}


def test_a_check_tells_every_mistake_of_every_product(products, capsys):
    products.store.write("good", b"")
    products.store.write("a", b"[inspection]\nthreshold = 7\nmin_frames_seen = 99\n")
    products.store.write("b", b'[model]\nname = "other"\n')
    told = refusals(products.check, [])
    folder = products.store.directory
    assert told == [
        f"{folder}/a.toml:2: inspection.threshold: found 7; expected at most 1",
        f"{folder}/a.toml:3: inspection.min_frames_seen: found 99; expected at most 16",
        f"{folder}/b.toml: model other: {MODEL_REPOSITORY} has no such model",
    ]
    assert capsys.readouterr().out == "ok    default\nok    good\n"


def test_products_that_the_settings_name_must_be_there(tmp_path):
    products = station(tmp_path, products={"initial": "a", "by_serial": {"b": "B.*"}})
    assert refusals(products.check, ["c"]) == [
        'products.initial names "a"; known products are: default',
        'products.by_serial names "b"; known products are: default',
        f"{tmp_path}/products/c.toml: no such product; known are: default",
    ]


def test_a_check_of_one_product_leaves_the_others_alone(products, capsys):
    products.store.write("good", b"")
    products.store.write("bad", b"x")
    products.check(["good"])
    assert capsys.readouterr().out == "ok    good\n"


def test_models_that_cannot_be_asked_are_told_and_no_mistake(tmp_path, capsys):
    products = station(tmp_path, inference={"url": "127.0.0.1:1", "connect_timeout_s": 0.2})
    products.check([])
    shown = capsys.readouterr()
    assert shown.out == "ok    default\n"
    assert "its models were not compared: Triton at 127.0.0.1:1" in shown.err


def test_a_product_is_shown_with_all_that_decides(products, capsys):
    zone = '[[zones]]\nname = "label"\npolygon = [[0, 0], [9, 0], [9, 9]]\nignore = true\n'
    content = '[inspection]\nthreshold = 0.8\n[inspection.severities]\nopen = "major"\n' + zone
    products.store.write("a", content.encode())
    products.catalogue.recipe("a")
    teach(products, "a")
    products.approve("a", 1, "anna")
    capsys.readouterr()
    products.print_product("a", as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["revision"] == "1"
    assert shown["inspection"]["thresholds"]["open"] == 0.8
    assert shown["inspection"]["severities"] == {"open": "major"}
    assert shown["zones"]["label"]["ignore"] is True
    assert shown["references"]["1"]["units"] == [4, 5, 6]
    assert shown["references"]["1"]["left_out"] == {"7": "differs"}
    assert shown["references"]["1"]["approved"].startswith("anna, ")
    products.print_product("a", as_json=False)
    assert 'inspection.severities.open = "major"' in capsys.readouterr().out.splitlines()


def test_what_decides_otherwise_is_told_key_by_key(products, capsys):
    products.store.write("a", b"[inspection]\nthreshold = 0.8\nmin_frames_seen = 2\n")
    products.store.write("b", b"[inspection]\nthreshold = 0.8\n")
    products.print_difference("a", "b")
    assert capsys.readouterr().out == "inspection.min_frames_seen: 2 -> 0\n"


def test_a_file_is_compared_with_its_revision_before(products, capsys):
    for threshold in ("0.80", "0.85", "0.90"):
        products.store.write("a", f"[inspection.thresholds]\nopen = {threshold}\n".encode())
        products.catalogue.recipe("a")
    products.print_difference("a", None)
    assert capsys.readouterr().out == "inspection.thresholds.open: 0.85 -> 0.9\n"
    products.print_difference("a@1", "a@2")
    assert capsys.readouterr().out == "inspection.thresholds.open: 0.8 -> 0.85\n"
    assert refusals(products.print_difference, "a@7", "a") == [
        "a has no revision 7; there are: 1, 2, 3"
    ]
    products.store.write("b", b"")
    assert refusals(products.print_difference, "b", None) == [
        "b has one revision only; expected a second product"
    ]


def test_a_product_moves_to_another_station(tmp_path, capsys):
    here, there = station(tmp_path / "here"), station(tmp_path / "there")
    here.store.write("a", b"[inspection]\nthreshold = 0.8\n")
    teach(here, "a")
    here.approve("a", 1, "anna")
    file = here.export("a", tmp_path / "a.zip", every_reference=False)
    there.take_in(file, None, replace=False, approve=True)
    recipe = there.catalogue.recipe("a")
    assert recipe.rules.thresholds[0] == 0.8
    assert recipe.reference is not None
    assert recipe.reference.id == "a/1"
    # The same again changes nothing.
    there.take_in(file, None, replace=False, approve=False)
    assert there.store.reference_numbers("a") == (1,)
    capsys.readouterr()


def test_another_file_of_that_name_is_replaced_only_when_asked_for(tmp_path, capsys):
    here, there = station(tmp_path / "here"), station(tmp_path / "there")
    here.store.write("a", b"[inspection]\nthreshold = 0.8\n")
    there.store.write("a", b"[inspection]\nthreshold = 0.5\n")
    file = here.export("a", tmp_path / "a.zip", every_reference=False)
    [told] = refusals(there.take_in, file, None, replace=False, approve=False)
    assert told.endswith("a is here already, with another file; expected --replace, or another "
                         "name with --as")  # fmt: skip
    there.take_in(file, "b", replace=False, approve=False)
    there.take_in(file, None, replace=True, approve=False)
    assert there.store.content("a") == there.store.content("b") == here.store.content("a")
    capsys.readouterr()


def test_a_product_of_another_model_is_refused_as_a_whole(tmp_path, capsys):
    models = tmp_path / "models" / "pcb_inspection" / "1"
    models.mkdir(parents=True)
    (models / "model.onnx").write_bytes(b"another")
    here = station(tmp_path / "here")
    there = station(
        tmp_path / "there", inference={"url": "embedded", "repository": tmp_path / "models"}
    )
    here.store.write("a", b"")
    teach(here, "a")
    here.approve("a", 1, "anna")
    file = here.export("a", tmp_path / "a.zip", every_reference=False)
    [told] = refusals(there.take_in, file, None, replace=False, approve=False)
    assert "model pcb_inspection is another one here: its files hash to" in told
    assert there.store.names() == ("default",)
    assert there.store.reference_numbers("a") == ()
    capsys.readouterr()


def test_what_is_no_archive_is_refused(products, tmp_path):
    [told] = refusals(products.take_in, tmp_path / "none.zip", None, replace=False, approve=False)
    assert told == f"{tmp_path}/none.zip: cannot be read: No such file or directory"


def test_references_are_approved_rolled_back_and_forgotten(products, capsys):
    products.store.write("a", b"")
    for shade in (80, 90):
        teach(products, "a", shade)
        products.approve("a", None, None)
    products.roll_back("a")
    products.forget("a", 2, sure=False)
    assert capsys.readouterr().out.splitlines() == [
        "reference a/1 is in force",
        "reference a/2 is in force",
        "reference a/1 is in force again",
        "reference a/2 is gone",
    ]
    approval = products.store.approvals("a").of(1)
    assert approval is not None
    assert "@" in approval.by


def test_a_whole_product_goes_only_when_somebody_is_sure(products, capsys):
    products.store.write("a", b"")
    assert refusals(products.forget, "a", None, sure=False)[0].endswith("expected --yes")
    products.forget("a", None, sure=True)
    assert products.store.names() == ("default",)
    assert refusals(products.forget, "a", None, sure=True)[0].endswith(
        "a.toml: no such product; known are: default"
    )
    capsys.readouterr()


def test_nothing_is_taught_to_a_product_that_nobody_knows(products):
    for call in (products.approve, products.roll_back):
        arguments = (None, None) if call == products.approve else ()
        assert "no such product" in refusals(call, "z", *arguments)[0]


def test_a_name_that_is_none_is_refused():
    assert refusals(checked_name, " a")[0].startswith("product: found ' a'; expected a product's")


def test_units_are_taught_by_a_running_service_only(products):
    products.store.write("a", b"")
    [told] = refusals(products.teach, "a", 8, approve=False, by=None)
    assert told.startswith("no service of station a.b.c answers at 127.0.0.1:1; units are taught")
