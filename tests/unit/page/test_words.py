"""Every word of the page is there in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

from inspector.core.records import Judgement, KeptFor
from inspector.events.schemas import UnitEvent
from inspector.page import state
from inspector.page.static_files import FOLDER
from inspector.products.reference import Why
from inspector.serials.agreement import SerialQuality

TEXT = r'"((?:[^"\\]|\\.)*)"'


def scripts() -> Iterator[str]:
    for path in sorted(FOLDER.glob("*.js")):
        if path.name != "german.js":
            yield path.read_text(encoding="utf-8")


def german() -> dict[str, str]:
    text = (FOLDER / "german.js").read_text(encoding="utf-8")
    table = text[text.index("export const GERMAN") :]
    found = re.findall(rf"^  (?:{TEXT}|([A-Za-z]+)): {TEXT},$", table, re.MULTILINE)
    entries = sum(
        line.startswith("  ") and not line.startswith("  //") for line in table.split("\n")
    )
    assert len(found) == entries, "a line of the table is not as the others"
    return {quoted or bare: said for quoted, bare, said in found}


def tables() -> Iterator[str]:
    """What stands in the tables of words.js and others, and is looked up by name."""
    for script in scripts():
        for table in re.findall(
            r"export const (?:REASONS|WHYS|PARTS|PICTURES|STATES|WAYS|MEASURES|FOLDERS)"
            r" = \{(.*?)\};",
            script,
            re.DOTALL,
        ):
            yield from re.findall(rf": {TEXT}", table)
    yield from re.findall(r": " + TEXT, re.search(r"TITLES = \{.*\};", "\n".join(scripts()))[0])  # type: ignore[index]


def used() -> set[str]:
    keys = set(tables())
    for script in scripts():
        keys |= set(re.findall(rf"\bt\({TEXT}", script))
        for one, more in re.findall(rf"\bmany\([^\"]*?{TEXT}, {TEXT}", script):
            keys |= {one, more}
        # one of two: t(a ? "b" : "c") is not allowed, so that this test sees all
        assert not re.findall(rf"\bt\([^\"),]*\?\s*{TEXT}", script)
    for page in ("index.html", "login.html"):
        html = (FOLDER / page).read_text(encoding="utf-8")
        keys |= {text.strip() for text in re.findall(r"<[^>]*\bdata-t\b[^>]*>([^<]+)<", html)}
        keys |= set(re.findall(r'aria-label="([^"]+)"', html))
    keys |= {"newer", "older"}  # the steps of a unit's view
    return keys


def test_no_german_word_is_missing_and_none_is_left_over() -> None:
    service = {*state._GOOD.values(), *state._AWAITED.values(), *state._ADVICE.values()}
    qualities = {quality.value.replace("_", " ") for quality in SerialQuality}
    service |= qualities | {
        "The service is starting.",
        "Wait a moment.",
        f"There was no verdict in the last {state.DEADLINES_COUNTED_S // 60} minutes.",
    }
    table = german()
    assert used() | service <= table.keys(), sorted((used() | service) - table.keys())
    assert table.keys() <= used() | service, sorted(table.keys() - used() - service)


def test_a_translation_fills_in_what_the_text_fills_in() -> None:
    for english, said in german().items():
        assert sorted(re.findall(r"\{\w+\}", english)) == sorted(re.findall(r"\{\w+\}", said)), said


def test_every_reason_of_an_event_has_words() -> None:
    words = next(script for script in scripts() if "export const REASONS" in script)
    table = re.search(r"export const REASONS = \{(.*?)\};", words, re.DOTALL)
    assert table is not None
    annotation = UnitEvent.model_fields["reason"].annotation
    reasons = {
        reason
        for choice in get_args(annotation)
        for reason in get_args(choice)
        if reason is not None
    }
    assert reasons, annotation
    assert reasons == set(re.findall(r"^  (\w+):", table[1], re.MULTILINE))


def test_every_cause_of_a_unit_left_out_has_words() -> None:
    table = re.search(r"export const WHYS = \{(.*?)\};", "\n".join(scripts()), re.DOTALL)
    assert table is not None
    assert set(re.findall(r"^  (\w+):", table[1], re.MULTILINE)) == {why.value for why in Why}


def test_every_part_of_a_station_has_a_name() -> None:
    table = re.search(r"export const PARTS = \{(.*?)\};", "\n".join(scripts()), re.DOTALL)
    assert table is not None
    assert state._GOOD.keys() <= set(re.findall(r"^  (\w+):", table[1], re.MULTILINE))


def test_every_reason_to_keep_a_picture_has_words() -> None:
    table = re.search(r"export const PICTURES = \{(.*?)\};", "\n".join(scripts()), re.DOTALL)
    assert table is not None
    named = set(re.findall(r"^  (\w+):", table[1], re.MULTILINE))
    assert named == {why.value for why in KeptFor} | {"none"}


def test_every_judgement_has_words() -> None:
    table = re.search(r"export const JUDGEMENTS = \{(.*?)\};", "\n".join(scripts()))
    assert table is not None
    assert set(re.findall(r"(\w+): t\(", table[1])) == {judgement.value for judgement in Judgement}
