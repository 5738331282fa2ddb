"""The seeded simulation: the real engine and the real scripts on a real Redis, with order, time and faults from a seed."""
