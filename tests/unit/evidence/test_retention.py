"""PASSED goes first, oldest first; nothing is sorted anew for each picture."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from inspector.evidence.retention import Kept, RetentionIndex, to_free_bytes


def kept(day: int, number: int, size_bytes: int, kind: str, written_ns: int) -> Kept:
    """A picture's name says of which kind it is."""
    return Kept(
        path=f"2026-11-{day:02d}/{number:06d}_{kind}.jpg",
        size_bytes=size_bytes,
        passed=kind != "rest",
        near=kind == "near",
        written_ns=written_ns,
    )


pictures = st.lists(
    st.builds(
        kept,
        st.integers(1, 30),
        st.integers(0, 999_999),
        st.integers(0, 1_000_000),
        st.sampled_from(("passed", "near", "rest")),
        st.integers(0, 9),
    ),
    unique_by=lambda kept: kept.path,
    max_size=60,
)


def in_order(one: Kept) -> tuple[bool, bool, int, str]:
    return (not one.passed, one.near, one.written_ns, one.path)


def filled(kept: list[Kept]) -> RetentionIndex:
    index = RetentionIndex()
    for one in kept:
        index.add(one)
    return index


@given(pictures)
def test_passed_goes_before_all_others_and_the_oldest_before_the_younger(kept: list[Kept]) -> None:
    index = filled(kept)
    assert list(index.first_to_go()) == sorted(kept, key=in_order)
    assert index.total_bytes == 0
    assert len(index) == 0


@given(pictures)
def test_those_near_a_threshold_can_go_alone_and_are_counted_apart(kept: list[Kept]) -> None:
    index = filled(kept)
    near = [one for one in kept if one.near]
    assert index.near_bytes == sum(one.size_bytes for one in near)
    assert list(index.first_near_to_go()) == sorted(near, key=in_order)
    assert index.near_bytes == 0
    assert list(index.first_to_go()) == sorted((o for o in kept if not o.near), key=in_order)


@given(pictures, st.integers(0, 60), pictures)
def test_the_order_holds_while_pictures_come_and_go(
    first: list[Kept], gone: int, later: list[Kept]
) -> None:
    index = filled(first)
    left = {one.path: one for one in first}
    for _, one in zip(range(gone), index.first_to_go(), strict=False):
        del left[one.path]
    for one in later:
        if one.path not in left:
            index.add(one)
            left[one.path] = one
    assert index.total_bytes == sum(one.size_bytes for one in left.values())
    order = sorted(left.values(), key=in_order)
    assert list(index.first_to_go()) == order


@given(pictures)
def test_a_day_is_over_when_its_last_picture_went(kept: list[Kept]) -> None:
    index = filled(kept)
    left = list(kept)
    for one in index.first_to_go():
        left.remove(one)
        assert index.is_last_of(one.day) == all(other.day != one.day for other in left)


def test_a_picture_that_is_found_twice_counts_once() -> None:
    index = filled([Kept(path="2026-11-22/a.jpg", size_bytes=5, passed=True)] * 2)
    assert index.total_bytes == 5
    assert [one.path for one in index.first_to_go()] == ["2026-11-22/a.jpg"]


def test_what_takes_another_place_goes_there_and_only_there() -> None:
    kept = [
        Kept(path=f"2026-11-22/{n}", size_bytes=5, passed=True, written_ns=n) for n in (1, 2, 3)
    ]
    index = filled(kept)
    index.move(replace(kept[0], written_ns=9))
    index.move(replace(kept[0], path="2026-11-22/unknown"))
    assert index.total_bytes == 15
    assert [one.path[-1] for one in index.first_to_go()] == ["2", "3", "1"]
    assert index.total_bytes == 0


amounts = st.integers(0, 10**13)


@given(amounts, amounts, amounts, amounts, amounts)
def test_after_freeing_what_is_asked_quota_and_floor_hold(
    incoming: int, kept: int, quota: int, free: int, floor: int
) -> None:
    freed = max(
        0,
        to_free_bytes(
            incoming_bytes=incoming,
            kept_bytes=kept,
            quota_bytes=quota,
            free_bytes=free,
            floor_bytes=floor,
        ),
    )
    assert kept - freed + incoming <= quota
    assert free + freed - incoming >= floor
