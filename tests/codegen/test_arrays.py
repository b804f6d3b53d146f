"""Arrays as the text of a kernel has them."""

from unspool.codegen.arrays import Array


def test_the_text_of_an_element() -> None:
    array = Array("u", (4, 5), 7)
    assert array.place(((0, 1, 0), (1, 1, -2))) == "u[i0, i1 - 2]"
    assert array.place(((-1, 0, 3), (0, -1, 4))) == "u[3, -i0 + 4]"
    assert array.place(((1, 2, 0), (0, -3, -1))) == "u[2 * i1, -3 * i0 - 1]"
    assert array.type == "f64[4, 5]"
    assert Array("y", (), 3).place(()) == "y[0]"
    rows = Array("r", (4,), 7, lead="row", sign="q0")
    assert rows.load(((0, 1, 0),)) == "(q0 * r[row, i0])"
    assert rows.type == "f64[:, 4]"
