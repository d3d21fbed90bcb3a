"""What a task's code is: its digests, and how it leaves this process."""
