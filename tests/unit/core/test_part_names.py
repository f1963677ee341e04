"""What scanners and codes say, as the name of a unit."""

from __future__ import annotations

import numpy as np
import pytest
import zxingcpp
from hypothesis import given
from hypothesis import strategies as st

from inspector.core.part_names import NameUnusableError, gs1_readable, shown, unit_name
from inspector.core.records import Image
from inspector.serials.agreement import MAX_SERIAL_CHARACTERS
from inspector.serials.codes import grey_picture, read_codes

GS, RS, EOT = "\x1d", "\x1e", "\x04"
ENVELOPE = f"[)>{RS}06{GS}P12345-67{GS}SABC123{RS}{EOT}"
SERIAL = "(01)04012345678901(21)SN13"


def name(text: str) -> str:
    return unit_name(text, longest=128)


@pytest.mark.parametrize(
    "text",
    ["PCB-1", "PCB-1\r\n", "PCB-1\0\0", " PCB-1\t", "\ufeffPCB-1", "\x02PCB-1\x03", "]d1PCB-1"],
)
def test_what_stands_around_a_name_is_no_part_of_it(text: str) -> None:
    assert name(text) == "PCB-1"


@pytest.mark.parametrize(
    ("message", "serial"),
    [
        (ENVELOPE, "ABC123"),
        (f"{ENVELOPE}\r\n", "ABC123"),
        (f"[)>{RS}06{GS}1P123{GS}S14{RS}{EOT}", "14"),
        (f"[)>06{GS}1P123{GS}S14", "14"),  # a scanner that sends no RS
        (f"[)>{RS}06{GS}P1{GS}25SUN0123{RS}06{GS}Q5{RS}{EOT}", "UN0123"),
        (f"[)>{RS}05{GS}010401234567890121SN13{RS}{EOT}", SERIAL),
        (f"[)>{RS}12{GS}MFR 1ABC{GS}SER 77{RS}{EOT}", "77"),
        (f"P12345{GS}SABC123", "ABC123"),
    ],
)
def test_of_iso_15434_and_of_data_identifiers_the_serial_is_the_name(
    message: str, serial: str
) -> None:
    assert name(message) == serial


@pytest.mark.parametrize(
    "data",
    [
        f"0104012345678901{GS}21SN13",
        f"{GS}010401234567890121SN13",
        "]d2010401234567890121SN13",
        "]C1010401234567890121SN13",
        "]Q3010401234567890121SN13\r",
        SERIAL,
    ],
)
def test_gs1_is_spelled_as_the_reader_of_codes_does(data: str) -> None:
    assert name(data) == SERIAL


@pytest.mark.parametrize(
    "text",
    [
        f"[)>{RS}06{GS}P1{GS}T2{RS}{EOT}",
        f"[)>{RS}06{GS}S1{GS}S2{RS}{EOT}",
        f"A{GS}B",
        "]d299",
        "[)>",
    ],
)
def test_data_without_a_serial_are_refused_and_shown(text: str) -> None:
    with pytest.raises(NameUnusableError) as refused:
        name(text)
    assert refused.value.kind == "no_serial"
    assert str(refused.value).isprintable()


def test_plain_digits_stay_what_they_are_though_they_could_be_gs1() -> None:
    assert name("010401234567890121SN13") == "010401234567890121SN13"


values = st.text("ABCXYZ0123456789-/", min_size=1, max_size=12)


@given(values, values, st.integers(0, 10**13 - 1))
def test_gs1_is_read_as_zxing_prints_it(lot: str, serial: str, digits: int) -> None:
    """Element strings drawn as GS1 Data Matrix and read back."""
    number = f"{digits:013}"
    check = -sum(int(d) * (3 if i % 2 == 0 else 1) for i, d in enumerate(number)) % 10
    elements = f"(01){number}{check}(17)261231(10){lot}(21){serial}"
    symbol = zxingcpp.create_barcode(elements, zxingcpp.BarcodeFormat.DataMatrix, gs1=True)
    picture = np.asarray(zxingcpp.write_barcode_to_image(symbol, scale=4, add_quiet_zones=True))
    frame: Image = np.repeat(picture[:, :, None], 3, axis=2)
    [code] = read_codes(grey_picture(frame, None), ["DataMatrix"])
    raw = zxingcpp.read_barcodes(picture)[0].bytes.decode()
    assert GS in raw
    assert code.text == gs1_readable(raw) == name(raw) == elements


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_whatever_comes_is_a_name_or_refused_on_one_line(text: str) -> None:
    try:
        found = name(text)
    except NameUnusableError as refused:
        found = str(refused)
    else:
        assert 0 < len(found) <= 128
        assert name(found) == found
    assert found.isprintable()


def test_what_is_shown_hides_no_control_character() -> None:
    assert shown("a\x1bb") == r"'a\x1bb'"
    assert shown("Größe") == "'Größe'"


@pytest.mark.parametrize("text", ["PCB-1", "Größe 7", "x" * 64])
def test_printable_text_can_be_a_serial(text: str) -> None:
    assert unit_name(text, longest=MAX_SERIAL_CHARACTERS) == text


@pytest.mark.parametrize("text", ["", "x" * 65, "a\x1db", "a\0b", "a\nb", "a\u202eb", "a\ud800"])
def test_control_characters_and_long_text_are_no_serial(text: str) -> None:
    with pytest.raises(NameUnusableError):
        unit_name(text, longest=MAX_SERIAL_CHARACTERS)
