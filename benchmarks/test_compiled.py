"""Compiled loops beside hand-written Numba and JAX: Lorenz-63 by RK4, rho = 12, gradient in state and three parameters.

The loss has a term in every step. The hand-written adjoint keeps the states and computes the stages again, as the
compiled step does. JAX is measured where it is installed: `scan` with `checkpoint` on the step.
"""

import numpy as np
import pytest
from numba import njit

import unspool

START, PARAMETERS, H, WEIGHT = np.array([1.0, 1.0, 1.0]), np.array([10.0, 12.0, 8.0 / 3.0]), 0.01, 1e-3


def rhs(u, p):
    x, y, z = u[0], u[1], u[2]
    return np.stack([p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z])


def loss(start, p, n, **how):
    def step(u, _):
        k1 = rhs(u, p)
        k2 = rhs(u + 0.5 * H * k1, p)
        k3 = rhs(u + 0.5 * H * k2, p)
        k4 = rhs(u + H * k3, p)
        u = u + H / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return u, WEIGHT * np.sum(u * u)

    u, terms = unspool.scan(step, start, length=n, **how)
    return np.sum(terms) + np.sum(u)


@njit(error_model="numpy")
def slope(x, y, z, s, r, b):
    return s * (y - x), x * (r - z) - y, x * y - b * z


@njit(error_model="numpy")
def stages(x, y, z, s, r, b):
    a1, b1, c1 = slope(x, y, z, s, r, b)
    x2, y2, z2 = x + 0.5 * H * a1, y + 0.5 * H * b1, z + 0.5 * H * c1
    a2, b2, c2 = slope(x2, y2, z2, s, r, b)
    x3, y3, z3 = x + 0.5 * H * a2, y + 0.5 * H * b2, z + 0.5 * H * c2
    a3, b3, c3 = slope(x3, y3, z3, s, r, b)
    x4, y4, z4 = x + H * a3, y + H * b3, z + H * c3
    a4, b4, c4 = slope(x4, y4, z4, s, r, b)
    ahead = (
        x + H / 6 * (a1 + 2 * a2 + 2 * a3 + a4),
        y + H / 6 * (b1 + 2 * b2 + 2 * b3 + b4),
        z + H / 6 * (c1 + 2 * c2 + 2 * c3 + c4),
    )
    return ahead, (x2, y2, z2), (x3, y3, z3), (x4, y4, z4)


@njit(error_model="numpy")
def slope_adjoint(at, s, r, b, da, db, dc):
    x, y, z = at
    return (
        (r - z) * db + y * dc - s * da,
        s * da - db + x * dc,
        -x * db - b * dc,
        (y - x) * da,
        x * db,
        -z * dc,
    )


@njit(error_model="numpy")
def by_hand(start, p, n):
    states = np.empty((n + 1, 3))
    states[0] = start
    s, r, b = p[0], p[1], p[2]
    value = 0.0
    x, y, z = start[0], start[1], start[2]
    for k in range(n):
        (x, y, z), _, _, _ = stages(x, y, z, s, r, b)
        states[k + 1, 0], states[k + 1, 1], states[k + 1, 2] = x, y, z
        value += WEIGHT * (x * x + y * y + z * z)
    value += x + y + z
    dx, dy, dz, ds, dr, db = 1.0, 1.0, 1.0, 0.0, 0.0, 0.0
    g = H / 6
    for k in range(n - 1, -1, -1):
        dx += 2 * WEIGHT * states[k + 1, 0]
        dy += 2 * WEIGHT * states[k + 1, 1]
        dz += 2 * WEIGHT * states[k + 1, 2]
        at = states[k, 0], states[k, 1], states[k, 2]
        _, at2, at3, at4 = stages(at[0], at[1], at[2], s, r, b)
        x4, y4, z4, s4, r4, b4 = slope_adjoint(at4, s, r, b, g * dx, g * dy, g * dz)
        x3, y3, z3, s3, r3, b3 = slope_adjoint(
            at3, s, r, b, 2 * g * dx + H * x4, 2 * g * dy + H * y4, 2 * g * dz + H * z4
        )
        x2, y2, z2, s2, r2, b2 = slope_adjoint(
            at2, s, r, b, 2 * g * dx + 0.5 * H * x3, 2 * g * dy + 0.5 * H * y3, 2 * g * dz + 0.5 * H * z3
        )
        x1, y1, z1, s1, r1, b1 = slope_adjoint(
            at, s, r, b, g * dx + 0.5 * H * x2, g * dy + 0.5 * H * y2, g * dz + 0.5 * H * z2
        )
        dx, dy, dz = dx + x4 + x3 + x2 + x1, dy + y4 + y3 + y2 + y1, dz + z4 + z3 + z2 + z1
        ds, dr, db = ds + s1 + s2 + s3 + s4, dr + r1 + r2 + r3 + r4, db + b1 + b2 + b3 + b4
    return value, np.array([dx, dy, dz]), np.array([ds, dr, db])


def unspool_gradient(policy):
    both = unspool.value_and_grad(loss, argnums=(0, 1))

    def gradient(n):
        value, (ct, ct_p) = both(START, PARAMETERS, n, policy=policy, compile=True)
        return value, ct, ct_p

    return gradient


def jax_gradient():
    jax = pytest.importorskip("jax")
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def jax_loss(start, p, n):
        def slopes(x, y, z):  # scalars, which XLA runs faster here than vectors of three
            return p[0] * (y - x), x * (p[1] - z) - y, x * y - p[2] * z

        def ahead(u, k, h):
            return [a + h * b for a, b in zip(u, k, strict=True)]

        @jax.checkpoint
        def step(u, _):
            k1 = slopes(*u)
            k2 = slopes(*ahead(u, k1, 0.5 * H))
            k3 = slopes(*ahead(u, k2, 0.5 * H))
            k4 = slopes(*ahead(u, k3, H))
            u = [a + H / 6 * (b + 2 * c + 2 * d + e) for a, b, c, d, e in zip(u, k1, k2, k3, k4, strict=True)]
            return u, WEIGHT * (u[0] * u[0] + u[1] * u[1] + u[2] * u[2])

        u, terms = jax.lax.scan(step, [start[0], start[1], start[2]], None, length=n)
        return jnp.sum(terms) + u[0] + u[1] + u[2]

    both = jax.jit(jax.value_and_grad(jax_loss, argnums=(0, 1)), static_argnums=2)

    def gradient(n):
        value, (ct, ct_p) = both(START, PARAMETERS, n)
        return float(value), np.asarray(ct), np.asarray(ct_p)

    return gradient


TOOLS = {
    "by hand": lambda: lambda n: by_hand(START, PARAMETERS, n),
    "unspool, none": lambda: unspool_gradient("none"),
    "unspool, revolve-30": lambda: unspool_gradient("revolve-30"),
    "jax": jax_gradient,
}


@pytest.mark.parametrize("n", [10, 10**5, 10**6])
@pytest.mark.parametrize("tool", TOOLS)
def test_lorenz(benchmark, tool, n):
    gradient = TOOLS[tool]()
    for found, expected in zip(gradient(n), by_hand(START, PARAMETERS, n), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    benchmark.group = f"{n:,} steps"
    benchmark.pedantic(gradient, (n,), rounds=9 if n > 10**5 else 25, warmup_rounds=1)
