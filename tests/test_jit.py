"""A function that jit runs gives what the function gives; nothing that it depends on changes without being seen."""

import sys
import threading
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import unspool
from unspool.errors import DetachedError, InputError, UnsupportedError
from unspool.tree import flatten

U = np.linspace(-1.0, 1.5, 7)
A = np.cos(np.arange(49.0)).reshape(7, 7) + 7 * np.eye(7)


def agree(f: Any, *args: Any, tolerance: float = 1e-12, **kwargs: Any) -> Any:
    """Call both twice, and compare values, types and structures."""
    fast = unspool.jit(f)
    expected = flatten(f(*args, **kwargs))
    for _ in range(2):
        found = flatten(fast(*args, **kwargs))
        assert found[1] == expected[1]
        for one, other in zip(found[0], expected[0], strict=True):
            assert type(one) is type(other)
            if isinstance(other, np.ndarray | float):
                assert one.dtype == other.dtype
                np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)
            else:
                assert one == other
    return fast


# --- what it computes -------------------------------------------------------------------------------------------------
def pendulum(u: Any, k: Any, n: int = 20, **how: Any) -> Any:
    u, path = unspool.scan(lambda u, _: (u - 0.1 * k * np.sin(u), np.sum(u * u)), u, length=n, **how)
    return np.sum(u) ** 2 + np.sum(path)


def copied(u: Any) -> Any:
    v = np.copy(u)
    v[2:5] *= 3
    v[0] = v[-1]
    return v


@pytest.mark.parametrize(
    "f",
    [
        lambda u: np.sin(u) * 2,
        lambda u: A @ u,
        lambda u: np.linalg.solve(A, u),
        lambda u: {"sum": np.sum(u), "rest": [u[2], None, (u, u)]},
        lambda u: (u, np.arange(3), 5, "text", None),
        lambda u: (np.argmax(u), u > 0),
        lambda u: np.abs(np.fft.fft(u)) ** 2,
        lambda u: np.float64(2.0),
        copied,
        unspool.grad(lambda u: np.sum(np.sin(u) ** 2)),
        unspool.hessian(lambda u: np.sum(np.sin(u) ** 2) * u[0]),
        unspool.value_and_grad(lambda u: (np.sum(u**2), {"largest": np.max(u)}), has_aux=True),
        lambda u: unspool.jvp(lambda x: np.sin(x) * x, (u,), (np.cos(u),)),
        lambda u: unspool.vjp(np.sin, u)[1](u),
        unspool.grad(lambda u: np.sum(u * unspool.stop_gradient(u))),
        unspool.grad(lambda u: np.sum(unspool.checkpoint(lambda x: np.sin(np.exp(x)))(u))),
        unspool.grad(lambda u: np.sum(np.abs(np.fft.fft(u)) ** 4)),
    ],
)
def test_a_function_of_arrays(f: Any) -> None:
    agree(f, U)


@pytest.mark.parametrize("policy", [None, "none", "every-4", "revolve-3", unspool.Revolve(2, leaf=3)])
@pytest.mark.parametrize("shape", [(3,), (40, 30)])
def test_a_loop_under_a_policy(policy: Any, shape: Any) -> None:
    u = np.random.default_rng(1).standard_normal(shape)
    agree(unspool.value_and_grad(lambda u, k: pendulum(u, k, policy=policy), argnums=(0, 1)), u, 0.5)


def test_a_policy_from_outside() -> None:
    policy = unspool.StoreAll()
    f = unspool.grad(lambda u: pendulum(u, 0.5, policy=policy))
    agree(lambda u: f(u), U)


@pytest.mark.parametrize("n", [1, 2, 20_000])
def test_short_and_long_loops(n: Any) -> None:
    agree(unspool.value_and_grad(lambda u, k: pendulum(u, k, n=n), argnums=(0, 1)), U, 0.5, tolerance=1e-9)


def test_a_budget_of_a_loop_is_kept() -> None:
    f = unspool.value_and_grad(lambda u: pendulum(u, 0.3, n=2000, memory="10 kB", compile=True))
    fast = agree(f, U[:2])
    with unspool.observe() as log:
        fast(U[:2])
    assert log[0].compiled
    assert log[0].peak_bytes <= 10_000
    assert log[0].reversed


def test_loops_that_hang_on_each_other() -> None:
    def f(u, k):
        a = unspool.fori_loop(0, 30, lambda i, x: x + 0.01 * np.cos(x) * k, u)
        b = unspool.fori_loop(0, 80, lambda i, x: 0.9 * x + 0.1 * np.tanh(a) * i, a**2)
        return np.sum(a * b)

    agree(f, U, 0.3)
    fast = agree(unspool.value_and_grad(f, (0, 1)), U, 0.3)
    assert fast.parts(U, 0.3).count("way back of fori_loop") == 2
    with unspool.observe() as log:
        fast(U, 0.3)
    assert [report.reversed for report in log] == [True, True]  # the way back takes up the sweep


def test_rows_and_outputs_of_a_scan() -> None:
    def f(forces):
        (x, y), path = unspool.scan(
            lambda state, f: ((state[0] + f["p"], state[1] * 0.9), (state[0] * f["q"], f["p"])), (0.0, 1.0), forces
        )
        return x * y + np.sum(path[0] * path[1])

    agree(unspool.value_and_grad(f), {"p": U, "q": np.cos(U)})


def test_second_derivatives_of_a_loop() -> None:
    def f(u):
        return pendulum(u, 0.7, n=12)

    agree(unspool.hessian(f), U[:3])
    agree(lambda u, v: unspool.jvp(unspool.grad(f), (u,), (v,)), U[:3], U[3:6])
    agree(unspool.hvp(f), U[:3], U[3:6])


def test_a_gradient_inside_of_a_loop_inside() -> None:
    agree(lambda u: unspool.fori_loop(0, 50, lambda i, x: x - 0.1 * unspool.grad(lambda y: np.sum(y**4))(x), u), U)


def test_a_loop_of_no_steps() -> None:
    agree(lambda u: unspool.fori_loop(3, 3, lambda i, x: 2 * x, u), U)


def test_a_custom_rule() -> None:
    @unspool.custom_vjp
    def f(x):
        return np.sin(x)

    f.defvjp(lambda x: (np.sin(x), x), lambda x, ct: (3 * ct * np.cos(x),))
    agree(unspool.grad(lambda u: np.sum(f(u))), U)


def test_empty_arrays() -> None:
    agree(lambda u: (2 * u, np.sum(u)), np.zeros(0))


def test_against_finite_differences() -> None:
    fast = unspool.jit(unspool.grad(lambda u: pendulum(u, 0.5)))
    h = 1e-6
    for direction in np.eye(7):
        slope = (pendulum(U + h * direction, 0.5) - pendulum(U - h * direction, 0.5)) / (2 * h)
        np.testing.assert_allclose(fast(U) @ direction, slope, rtol=1e-7)


def test_what_is_not_a_float_is_part_of_the_program() -> None:
    traces = []

    def f(x, n, mode="plain", g=None):
        traces.append(n)
        return (x if g is None else g(x)) ** n * (2 if mode == "twice" else 1)

    with pytest.raises(UnsupportedError, match=r"changes traces, traces\[1\]"):
        unspool.jit(f)(U, 2)

    def quiet(x, n, mode="plain", g=None):
        return (x if g is None else g(x)) ** n * (2 if mode == "twice" else 1)

    fast = unspool.jit(quiet)
    np.testing.assert_array_equal(fast(U, 2), U**2)
    np.testing.assert_array_equal(fast(U, 3), U * U * U)
    np.testing.assert_array_equal(fast(U, 2, mode="twice"), 2 * U**2)
    np.testing.assert_allclose(fast(U, 2, g=np.sin), np.sin(U) ** 2)
    np.testing.assert_array_equal(fast(U[:3], 2), U[:3] ** 2)
    np.testing.assert_array_equal(fast(3.0, True), 3.0)


def test_an_index_array_is_part_of_the_program() -> None:
    fast = unspool.jit(lambda x, index: x[index])
    index = np.array([1, 2])
    np.testing.assert_array_equal(fast(U, index), U[[1, 2]])
    index[0] = 5
    np.testing.assert_array_equal(fast(U, index), U[[5, 2]])


def test_it_is_traced_once() -> None:
    seen = []
    fast = unspool.jit(lambda x: (print("traced"), 2 * x)[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda text: seen.append(text))
        for _ in range(5):
            fast(U)
    assert seen == ["traced", "traced"]  # the second time to see that it does the same


def test_results_are_nobody_elses() -> None:
    fast = unspool.jit(lambda x: (x, x, np.arange(3)))
    one, other, fixed = fast(U)
    one[:], fixed[:] = 0.0, 7
    np.testing.assert_array_equal(other, U)
    np.testing.assert_array_equal(fast(U)[0], U)
    np.testing.assert_array_equal(fast(U)[2], np.arange(3))


def test_inside_of_a_transform_it_is_the_function() -> None:
    fast = unspool.jit(lambda u: np.sum(np.sin(u) ** 2))
    np.testing.assert_array_equal(unspool.grad(fast)(U), unspool.grad(lambda u: np.sum(np.sin(u) ** 2))(U))
    agree(lambda u: fast(u) + 1, U)


def test_methods() -> None:
    class Model:
        def __init__(self, k):
            self.k = k

        @unspool.jit
        def energy(self, u):
            return self.k * np.sum(u * u)

    model, other = Model(2.0), Model(3.0)
    assert model.energy(U) == pytest.approx(2 * np.sum(U * U))
    assert other.energy(U) == pytest.approx(3 * np.sum(U * U))
    model.k = 5.0
    assert model.energy(U) == pytest.approx(5 * np.sum(U * U))


def test_threads_have_scripts_of_their_own() -> None:
    fast = unspool.jit(unspool.grad(lambda u: pendulum(u, 0.5, n=300)))
    expected = {k: fast(U + k) for k in range(4)}
    wrong = []

    def work(k):
        wrong.extend([k for _ in range(200) if not np.array_equal(fast(U + k), expected[k])])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_many_shapes_are_forgotten_again() -> None:
    fast = unspool.jit(lambda u: 2 * u)
    for n in [*range(1, 70), 1, 2, 69]:
        np.testing.assert_array_equal(fast(np.ones(n)), 2 * np.ones(n))


def test_what_it_shows() -> None:
    fast = unspool.jit(unspool.grad(lambda u: pendulum(u, 0.5)))
    assert "scan_vjp" in str(fast.program(U))
    assert fast.parts(U).splitlines()[0].endswith("one script of machine code")
    large = unspool.jit(lambda u: np.sum(np.sin(u)))
    assert "part by part" in large.parts(np.ones(10_000))
    assert "(fields)" in large.parts(np.ones(10_000))


# --- what it depends on -----------------------------------------------------------------------------------------------
SCALE = 2.0
TABLE = {"rates": [1.0, 2.0], "matrix": np.eye(7)}


def test_a_global_that_changes(monkeypatch: Any) -> None:
    fast = unspool.jit(lambda u: SCALE * u)
    np.testing.assert_array_equal(fast(U), 2 * U)
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    np.testing.assert_array_equal(fast(U), 3 * U)


def test_a_variable_around_it_that_changes() -> None:
    k = 2.0

    def f(u):
        return k * u

    fast = unspool.jit(f)
    np.testing.assert_array_equal(fast(U), 2 * U)
    k = 4.0
    np.testing.assert_array_equal(fast(U), 4 * U)
    k = 2.0
    np.testing.assert_array_equal(fast(U), 2 * U)


def test_a_variable_around_it_that_is_deleted() -> None:
    k = 2.0
    fast = unspool.jit(lambda u: k * u)  # noqa: F821 - it is there when it is called
    np.testing.assert_array_equal(fast(U), 2 * U)
    del k
    with pytest.raises(NameError):
        fast(U)


@pytest.mark.parametrize("size", [7, 5000])
def test_an_array_that_is_written(size: Any) -> None:
    weights = np.ones(size)
    fast = unspool.jit(unspool.grad(lambda u: np.sum(weights * u)))
    u = np.zeros(size)
    np.testing.assert_array_equal(fast(u), weights)
    weights[3] = 9.0
    np.testing.assert_array_equal(fast(u), weights)
    weights[3] = np.nan
    np.testing.assert_array_equal(fast(u), weights)


def test_lists_and_dicts_that_change() -> None:
    fast = unspool.jit(lambda u: TABLE["rates"][1] * (TABLE["matrix"] @ u))
    try:
        np.testing.assert_allclose(fast(U), 2 * U)
        TABLE["rates"][1] = 5.0
        np.testing.assert_allclose(fast(U), 5 * U)
        TABLE["matrix"][0, 0] = 3.0
        np.testing.assert_allclose(fast(U)[0], 15 * U[0])
    finally:
        TABLE["rates"][1], TABLE["matrix"][0, 0] = 2.0, 1.0


def test_attributes_that_change() -> None:
    @dataclass
    class Grid:
        h: float

    class Slotted:
        __slots__ = ("rate",)

    grid, things, slotted = Grid(0.5), SimpleNamespace(inner=SimpleNamespace(k=2.0)), Slotted()
    slotted.rate = 1.0
    fast = unspool.jit(lambda u: u * grid.h * things.inner.k * slotted.rate)
    np.testing.assert_array_equal(fast(U), U)
    grid.h = 1.0
    np.testing.assert_array_equal(fast(U), 2 * U)
    things.inner.k = 3.0
    np.testing.assert_array_equal(fast(U), 3 * U)
    slotted.rate = 2.0
    np.testing.assert_array_equal(fast(U), 6 * U)


def test_functions_that_it_calls() -> None:
    def slope(u):
        return np.sin(u)

    def f(u):
        return slope(u) + helper(u)

    def helper(u, k=1.0):
        return k * u

    fast = unspool.jit(unspool.jit(f))
    np.testing.assert_allclose(fast(U), np.sin(U) + U)
    helper.__defaults__ = (2.0,)
    np.testing.assert_allclose(fast(U), np.sin(U) + 2 * U)

    def slope(u):  # noqa: F811 - that is what is tried
        return np.cos(u)

    np.testing.assert_allclose(fast(U), np.cos(U) + 2 * U)


def test_a_module_that_it_imports(monkeypatch: Any) -> None:
    module = ModuleType("settings_of_a_test")
    module.SCALE = 2.0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "settings_of_a_test", module)

    def f(u: Any) -> Any:
        import settings_of_a_test

        return settings_of_a_test.SCALE * u

    fast = unspool.jit(f)
    np.testing.assert_array_equal(fast(U), 2 * U)
    module.SCALE = 3.0  # type: ignore[attr-defined]
    np.testing.assert_array_equal(fast(U), 3 * U)


def test_a_method_of_an_object_it_reads() -> None:
    class Law:
        power = 2

        def __call__(self, u):
            return u**self.power

    law = Law()
    fast = unspool.jit(lambda u: law(u))
    np.testing.assert_array_equal(fast(U), U**2)
    Law.power = 4
    np.testing.assert_allclose(fast(U), U**4)
    law.power = 3
    np.testing.assert_allclose(fast(U), U**3)
    Law.__call__ = lambda self, u: u
    np.testing.assert_allclose(fast(U), U)


# --- what is refused --------------------------------------------------------------------------------------------------
def test_a_branch_on_a_value() -> None:
    with pytest.raises(DetachedError, match=r"np\.where") as caught:
        unspool.jit(lambda x: x if x > 0 else -x)(2.0)
    assert caught.value.__notes__ == ["while <lambda> was traced for jit"]


def test_a_write_into_an_argument() -> None:
    def f(u):
        u[0] = 1.0
        return u

    with pytest.raises(UnsupportedError, match="writes into an argument"):
        unspool.jit(f)(U.copy())


def test_random_numbers() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(UnsupportedError, match="changes rng"):
        unspool.jit(lambda u: u * rng.standard_normal())(U)
    with pytest.raises(UnsupportedError, match=r"changes numpy\.random"):
        unspool.jit(lambda u: u * np.random.rand())(U)
    with pytest.raises(InputError, match="rng is a random generator"):
        unspool.jit(lambda u: -u if rng else u)(U)


def test_a_clock() -> None:
    times = iter(range(100))
    with pytest.raises(UnsupportedError, match="did not do the same"):
        unspool.jit(lambda u: u * next(times))(U)


def test_things_in_which_changes_are_not_seen() -> None:
    rows = iter([1.0, 2.0])
    with pytest.raises(InputError, match=r"rows is of type builtins\.list_iterator"):
        unspool.jit(lambda u: u if rows else -u)(U)
    with pytest.raises(InputError, match="calls globals"):
        unspool.jit(lambda u: u * globals()["SCALE"])(U)


@pytest.mark.parametrize("dtype", [np.float32, complex])
def test_other_floats(dtype: Any) -> None:
    with pytest.raises(UnsupportedError, match="only float64 is compiled"):
        unspool.jit(lambda u: u)(U.astype(dtype))


def test_a_subclass_of_arrays() -> None:
    with pytest.raises(UnsupportedError, match="MaskedArray"):
        unspool.jit(lambda u: u)(np.ma.masked_array(U))


def test_what_is_no_result() -> None:
    with pytest.raises(InputError, match="returned something of type object"):
        unspool.jit(lambda u: object())(U)


@pytest.mark.parametrize(
    ("loop", "what"),
    [
        (lambda u: unspool.while_loop(lambda x: np.sum(x) > 1, lambda x: x / 2, u), "not known"),
        (lambda u: unspool.fori_loop(0, 5, lambda i, x: x / 2, u, compile=False), "compile=False"),
        (lambda u: unspool.fori_loop(0, 5, lambda i, x: x / 2, u, check_finite=True), "check_finite=True"),
    ],
)
def test_loops_that_have_no_machine_code(loop: Any, what: Any) -> None:
    with pytest.raises(UnsupportedError, match=what):
        unspool.jit(loop)(U)


def test_a_policy_of_plain_code() -> None:
    with pytest.raises(UnsupportedError, match="policy= and memory= of a transform"):
        unspool.jit(unspool.grad(lambda u: np.sum(np.sin(u)), policy="every-2"))(U)
