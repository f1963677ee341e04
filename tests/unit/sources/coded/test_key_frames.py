from inspector.sources.coded.key_frames import NS_PER_S, KeyFrameDistance


def told(pattern: str, distance: KeyFrameDistance | None = None, fps: int = 2) -> list[int]:
    """At which packets it says so; k is a key frame, p another, - a packet without a stamp."""
    distance = distance or KeyFrameDistance()
    return [
        number
        for number, kind in enumerate(pattern)
        if distance.is_far(
            is_key=kind == "k", pts_ns=None if kind == "-" else number * NS_PER_S // fps
        )
    ]


def test_key_frames_every_second_are_no_news() -> None:
    assert told("kp" * 100) == []


def test_key_frames_far_apart_are_told_once() -> None:
    assert told("k" + "p" * 20 + "k" + "p" * 20) == [7]


def test_a_stream_without_key_frames_is_told_too() -> None:
    assert told("p" * 20) == [7]


def test_a_new_connection_begins_anew_and_is_not_told_again() -> None:
    distance = KeyFrameDistance()
    assert told("kpppp", distance) == []
    distance.connected()
    assert told("ppppp", distance) == []
    assert told("k" + "p" * 20, distance) == [7]
    distance.connected()
    assert told("k" + "p" * 20, distance) == []


def test_packets_without_a_stamp_say_nothing() -> None:
    assert told("k" + "-" * 30) == []
