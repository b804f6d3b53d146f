"""For users who want to trust a gradient, and for those who add primitives, schedules and stores."""
