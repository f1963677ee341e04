import pytest

from inspector.sources.genicam.features import Range, agrees, as_text


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (5000.0, "5000"),
        (5000.0, "4998.4"),
        (1280, "1280"),
        ("On", "On"),
        (True, "true"),
        (True, "1"),
        (False, "false"),
    ],
)
def test_what_the_camera_keeps_is_what_was_written(wanted, found):
    assert agrees(wanted, found)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [(5000.0, "4900"), (1280, "1279"), ("On", "Off"), (True, "false"), (5, "five"), (1, "")],
)
def test_anything_else_is_a_difference(wanted, found):
    assert not agrees(wanted, found)


def test_values_are_written_as_the_camera_reads_them():
    assert [as_text(v) for v in (True, False, 3, 1e7, 0.25, "Mono8")] == [
        *("true", "false", "3", "10000000", "0.25", "Mono8")
    ]


def test_a_number_outside_of_what_the_camera_accepts_is_seen_before_it_is_written():
    accepts = Range(10.0, 1e7)
    assert accepts.lacks(1e9)
    assert accepts.lacks(1)
    assert not accepts.lacks(5000.0)
    assert not accepts.lacks("Auto")
    assert str(accepts) == "10 to 10000000"
