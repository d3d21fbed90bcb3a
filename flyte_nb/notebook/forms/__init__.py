"""Forms in cells: to launch a task, to describe an environment."""
