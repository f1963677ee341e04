import pytest

from inspector.core.errors import ConfigurationError
from inspector.settings.load import load_settings
from inspector.settings.renamed import RENAMED, OldName, Renamed, rename
from inspector.settings.settings import Settings
from inspector.settings.wording import model_at

STATION = '[station]\nsite = "plant1"\nline = "smt2"\nname = "aoi"\n'
CAMERA = '[cameras.top]\nsource = "sim:"\nsize = "1280x720"\n'


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch):
    for name in ("CREDENTIALS_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


def test_every_new_name_is_a_setting_and_no_old_one_is():
    for pattern, name in RENAMED.items():
        *above, before = pattern.split(".")
        section = model_at(Settings, above)
        assert section is not None
        assert name in section.model_fields
        assert before not in section.model_fields


def test_keys_are_renamed_in_every_section_that_fits_and_nowhere_else():
    content = {
        "cameras": {"top": {"look": "unit"}, "side": {"crop": "tiles"}, "odd": 7},
        "station": {"look": "x"},
    }
    assert rename(content) == [Renamed("cameras.top.look", "cameras.top.crop")]
    assert content == {
        "cameras": {"top": {"crop": "unit"}, "side": {"crop": "tiles"}, "odd": 7},
        "station": {"look": "x"},
    }


def test_a_file_with_the_old_name_is_read_and_says_so_once(tmp_path):
    file = tmp_path / "line.toml"
    file.write_text(STATION + CAMERA + 'look = "tiles"\n')
    settings = load_settings(file)
    assert settings.cameras["top"].crop == "tiles"
    assert list(map(str, settings.old_names)) == [
        f'{file}: cameras.top.look: renamed to "crop"; the old name still works, please change it'
    ]
    file.write_text(STATION + CAMERA + 'crop = "tiles"\n')
    assert load_settings(file).old_names == ()


def test_an_environment_variable_with_the_old_name_stands_above_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECTOR_CAMERAS__TOP__LOOK", "unit_tiles")
    file = tmp_path / "line.toml"
    file.write_text(STATION + CAMERA + 'crop = "tiles"\n')
    settings = load_settings(file)
    assert settings.cameras["top"].crop == "unit_tiles"
    assert settings.old_names == (OldName("environment: INSPECTOR_CAMERAS__TOP__LOOK", "crop"),)


def test_a_wrong_value_is_refused_by_the_name_it_was_written_with(tmp_path):
    file = tmp_path / "line.toml"
    file.write_text(STATION + CAMERA + 'look = "tilez"\n')
    with pytest.raises(ConfigurationError, match=r"cameras\.top\.look: found 'tilez'; expected"):
        load_settings(file)


def test_both_names_at_once_are_refused(tmp_path):
    file = tmp_path / "line.toml"
    file.write_text(STATION + CAMERA + 'look = "tiles"\ncrop = "unit"\n')
    with pytest.raises(ConfigurationError, match=r'cameras\.top\.look: unknown key "look"'):
        load_settings(file)
