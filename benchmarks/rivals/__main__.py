"""``python -m benchmarks.rivals torch lorenz`` measures one rival on one problem."""

from benchmarks.rivals import main

main()
