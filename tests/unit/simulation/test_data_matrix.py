import textwrap

import pytest

from inspector.simulation.data_matrix import encode


def test_a_data_matrix_is_what_a_reader_expects():
    # This picture was read as SIM-000017 by zxing-cpp 3.
    expected = textwrap.dedent("""\
        #.#.#.#.#.#.#.
        #.###.#.##...#
        #..##.##...#..
        #.#....#.###.#
        #.#..#......#.
        #.....####..##
        #..#.###..#.#.
        ##.#........##
        ####.#...##.#.
        #.#...######.#
        #...........#.
        #..##.#.#.#..#
        ##...##..#....
        ##############
    """).splitlines()
    assert ["".join(".#"[bool(dark)] for dark in row) for row in encode("SIM-000017")] == expected


def test_a_text_too_long_for_its_data_matrix_is_refused():
    with pytest.raises(ValueError, match="does not fit"):
        encode("SIM-1234567890")
