"""The sentence that `inspector bench` leads with."""

import pytest

from inspector.commands.bench import summary_of


@pytest.mark.parametrize(
    ("cameras", "told"),
    [
        (3, "This machine can run 3 cameras of 1280x720 with a board every 2.5 s, "),
        (1, "This machine can run 1 camera of 1280x720"),
        (0, "This machine is too slow for one camera with a board every 2.5 s"),
    ],
)
def test_it_says_how_many_cameras_this_machine_can_run(cameras: int, told: str) -> None:
    summary = summary_of(cameras, 91.4, 2000.0)
    assert summary.startswith(told)
    assert "within 2000 ms" in summary
    assert "Its model takes 91 pictures per second." in summary
