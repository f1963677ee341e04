from inspector.core.packets import Packets
from inspector.core.records import CameraId
from inspector.doctor.findings import Finding, Mark
from inspector.doctor.packets import ENOUGH_BUFFER_BYTES, judge


def judged(
    *,
    size_bytes: int = 8192,
    broken: int = 0,
    sent_again: int = 0,
    buffer_bytes: int = ENOUGH_BUFFER_BYTES,
) -> Finding:
    packets = Packets(
        size_bytes=size_bytes,
        received=1000,
        sent_again=sent_again,
        frames_whole=90 - broken,
        frames_broken=broken,
    )
    return judge(CameraId("top"), packets, buffer_bytes)


def test_a_network_that_carries_everything_needs_no_advice():
    finding = judged(size_bytes=1400, buffer_bytes=212_992)
    assert (finding.what, finding.mark) == ("packets top", Mark.OK)
    assert finding.found == "1400 bytes each, 1000 came, 0 of 90 pictures not whole"
    assert not finding.advice


def test_lost_packets_are_a_fault_and_what_is_too_small_is_named():
    finding = judged(size_bytes=1400, broken=3, buffer_bytes=212_992)
    assert finding.mark is Mark.FAIL
    assert finding.found == "1400 bytes each, 1000 came, 3 of 90 pictures not whole"
    assert "net.core.rmem_max=32000000 (it is 212992)" in finding.advice
    assert "MTU of 9000" in finding.advice
    assert "/proc/interrupts" in finding.advice


def test_what_is_large_enough_is_not_advised():
    advice = judged(broken=3).advice
    assert "rmem_max" not in advice
    assert "MTU" not in advice
    assert "/proc/interrupts" in advice


def test_packets_that_came_at_the_second_request_are_a_warning():
    finding = judged(sent_again=7)
    assert finding.mark is Mark.WARN
    assert finding.found == "8192 bytes each, 1000 came, 0 of 90 pictures not whole, 7 sent again"


def test_a_trial_counts_only_what_came_in_it():
    before = Packets(size_bytes=1400, received=100, sent_again=2, frames_whole=9, frames_broken=1)
    after = Packets(size_bytes=1400, received=350, sent_again=2, frames_whole=30, frames_broken=4)
    assert after.since(before) == Packets(
        size_bytes=1400, received=250, sent_again=0, frames_whole=21, frames_broken=3
    )
