import pytest
from pydantic import ValidationError

from inspector.settings.sections import CameraSettings
from inspector.sources.genicam.uri import GenicamUri
from inspector.sources.registry import named_source, parse_source


@pytest.mark.parametrize(
    ("written", "name", "packet"),
    [
        ("genicam:22345678", "22345678", None),
        ("genicam:192.168.3.7?packet=auto", "192.168.3.7", None),
        ("genicam:00:30:53:1a:2b:3c?packet=8192", "00:30:53:1a:2b:3c", 8192),
        ("GenICam:Top camera", "Top camera", None),
    ],
)
def test_a_camera_is_named_by_what_people_know_of_it(written, name, packet):
    assert parse_source(written) == GenicamUri(name=name, packet=packet)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("genicam:", "a serial number, an address"),
        ("genicam:7?packet=100", "packet=auto or a size from 576 to 16000 bytes"),
        ("genicam:7?packet=big", "packet=auto or a size"),
        ("genicam:7?fps=3", "only the options packet, but has fps"),
    ],
)
def test_what_names_no_camera_is_refused_in_one_line(written, expected):
    with pytest.raises(ValueError, match="is not a camera source: expected") as refused:
        parse_source(written)
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_command_takes_it_for_a_camera_and_not_for_a_file():
    assert named_source("genicam:7", exists=False) == GenicamUri(name="7")


def test_it_waits_for_nobody():
    traits = GenicamUri(name="7").traits
    assert (traits.realtime, traits.simulated, traits.replayed) == (True, False, False)


def test_features_are_for_cameras_that_have_some():
    features = {"ExposureTime": 1500.0, "TriggerMode": "On", "Reverse": True}
    said = {"source": "genicam:7", "size": "640x480", "features": features}
    assert CameraSettings.model_validate(said).features == features
    said |= {"source": "rtsp://192.0.2.1/", "features": {"Gain": 1}}
    with pytest.raises(ValidationError, match="features has Gain, but this kind of camera"):
        CameraSettings.model_validate(said)
