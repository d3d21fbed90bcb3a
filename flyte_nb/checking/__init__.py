"""What is wrong with a task and all it can reach, found without running anything: `check(task)`."""
