"""The eager cost per operation: a chain of 1000 operations over arrays of 10 elements, value and gradient together."""

import gc
import tracemalloc

import numpy as np
import pytest

import unspool
from unspool.ir.listener import listening
from unspool.tape import Tape

N = 1000
X = np.linspace(0.1, 0.9, 10)


def arithmetic(x, np=np):
    u = x
    for _ in range(N // 4):
        u = u * 1.0001
        u = u + x
        u = u - 0.5
        u = u / 1.9
    return np.sum(u)


def mixed(x, np=np):
    u = x
    for _ in range(N // 5):
        u = u * x
        u = np.sin(u)
        u = u + x
        u = u * 0.5
        u = np.tanh(u)
    return np.sum(u)


def products(x, np=np):
    u = x
    for _ in range(N):
        u = u * x
    return np.sum(u)


CHAINS = (arithmetic, mixed, products)


def by_hand(chain):
    """The chain and its adjoint as NumPy calls, the intermediate values in a list."""
    if chain is arithmetic:

        def gradient(x):
            u = x
            for _ in range(N // 4):
                u = ((u * 1.0001 + x) - 0.5) / 1.9
            ct, ctx = np.ones_like(u), np.zeros_like(u)
            for _ in range(N // 4):
                ct = ct / 1.9
                ctx = ctx + ct
                ct = ct * 1.0001
            return np.sum(u), ctx + ct

    elif chain is mixed:

        def gradient(x):
            u, kept = x, []
            for _ in range(N // 5):
                a = u * x
                y = np.tanh((np.sin(a) + x) * 0.5)
                kept.append((u, a, y))
                u = y
            ct, ctx = np.ones_like(u), np.zeros_like(u)
            for before, a, y in reversed(kept):
                ct = ct * (1 - y * y) * 0.5
                ctx = ctx + ct
                ct = ct * np.cos(a)
                ctx = ctx + ct * before
                ct = ct * x
            return np.sum(u), ctx + ct

    else:

        def gradient(x):
            u, kept = x, []
            for _ in range(N):
                kept.append(u)
                u = u * x
            ct, ctx = np.ones_like(u), np.zeros_like(u)
            for before in reversed(kept):
                ctx = ctx + ct * before
                ct = ct * x
            return np.sum(u), ctx + ct

    return gradient


def torch_gradient(chain):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)

    def gradient(x):
        t = torch.tensor(x, requires_grad=True)
        loss = chain(t, torch)
        loss.backward()
        return loss.item(), t.grad.numpy()

    return gradient


def autograd_gradient(chain):
    autograd = pytest.importorskip("autograd")
    import autograd.numpy as anp

    both = autograd.value_and_grad(chain)
    return lambda x: both(x, anp)


TOOLS = {
    "numpy by hand": by_hand,
    "unspool": unspool.value_and_grad,
    "torch": torch_gradient,
    "autograd": autograd_gradient,
}


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain.__name__)
@pytest.mark.parametrize("tool", TOOLS)
def test_value_and_gradient(benchmark, tool, chain):
    gradient = TOOLS[tool](chain)
    expected = by_hand(chain)(X)
    found = gradient(X)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-10)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-10)
    benchmark.group = chain.__name__
    benchmark(gradient, X)
    if benchmark.stats is not None:  # None with --benchmark-disable
        benchmark.extra_info["ns per operation"] = round(benchmark.stats.stats.median * 1e9 / N)
        benchmark.extra_info["beside"] = f"test_value_and_gradient[numpy by hand-{chain.__name__}]"


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain.__name__)
def test_bytes_per_operation(benchmark, chain):
    """Bytes held per operation, all told, and without the arrays' own elements and headers."""

    def held():
        gc.collect()
        warm = Tape()
        with listening(warm):
            chain(warm.input(X))  # fills the rules' caches, and stays: what it freed would be used again, uncounted
        tape = Tape()
        with listening(tape):
            x = tape.input(X)
            tracemalloc.start()
            before = tracemalloc.get_traced_memory()[0]
            out = chain(x)
            total = tracemalloc.get_traced_memory()[0] - before
            tracemalloc.stop()
            arrays = {id(v): v for node in tape.nodes if node for v in node[2] if isinstance(v, np.ndarray)}
            payload = sum(v.nbytes + np.empty(0).__sizeof__() for v in arrays.values())
        assert out is not None
        assert len(warm.nodes) == len(tape.nodes)
        return total / N, (total - payload) / N

    total, bookkeeping = benchmark.pedantic(held, rounds=1)
    benchmark.extra_info["bytes per operation"] = round(total)
    benchmark.extra_info["without arrays"] = round(bookkeeping)
    assert bookkeeping <= 400
