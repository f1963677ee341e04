import numpy as np

from inspector.simulation.circuit import lay_out


def test_boards_of_a_product_share_their_circuit_and_products_do_not():
    first, second = lay_out(1, 0, 400, 400), lay_out(1, 0, 400, 400)
    other = lay_out(1, 1, 400, 400)
    assert np.array_equal(first.copper, second.copper)
    assert not np.array_equal(first.copper, other.copper)
