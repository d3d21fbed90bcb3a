"""What the machine has, who may hold it, and what a process may use."""
