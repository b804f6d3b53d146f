"""Primal and adjoint of each problem, written by hand in Numba: what a compiler could reach.

Each is a function of a problem and of a schedule's two numbers, which are those of Revolve(slots, leaf): the binomial
schedule over blocks of ``leaf`` steps. One block of all steps is StoreAll, a slot for each block is TwoLevel.
"""
