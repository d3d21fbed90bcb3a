"""When triggers of deployed tasks are due, and the loop that fires them."""
