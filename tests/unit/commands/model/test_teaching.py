from __future__ import annotations

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from inspector.cli import app
from inspector.commands.model.teaching import shown_units
from inspector.core.errors import ConfigurationError


def picture(shade: int):
    return np.full((40, 60, 3), shade, np.uint8)


def test_each_picture_is_a_unit_that_fills_it(tmp_path):
    for number in range(20, 0, -1):
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), picture(number))
    (tmp_path / "notes.txt").write_text("no picture")
    units = shown_units([tmp_path])
    assert [unit.number for unit in units] == list(range(1, 21)), "however many there are"
    assert [int(unit.sights[0].image[0, 0, 0]) for unit in units] == list(range(1, 21))
    outline = units[0].sights[0].outline
    assert (outline.width_px, outline.height_px, outline.turn_deg) == (60, 40, 0)


def test_what_is_no_picture_is_named(tmp_path):
    (tmp_path / "1.png").write_text("no picture")
    with pytest.raises(ConfigurationError, match=r"1\.png"):
        shown_units([tmp_path / "1.png"])


def test_a_number_of_units_is_for_the_line_and_not_for_pictures(tmp_path):
    config = tmp_path / "line.toml"
    config.write_text(
        '[station]\nsite = "a"\nline = "b"\nname = "c"\n'
        '[cameras.top]\nsource = "sim:"\nsize = "640x480"\n'
    )
    told = ["model", "teach", "--product", "a", "--units", "6", "--pictures", str(tmp_path)]
    ended = CliRunner().invoke(app, [*told, "--config", str(config)])
    assert ended.exit_code == 2
    assert "with pictures all of them are used" in " ".join(ended.output.split())
