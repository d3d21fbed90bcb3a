"""When triggers of deployed tasks are due, what their runs are given, and the loop that fires them."""
