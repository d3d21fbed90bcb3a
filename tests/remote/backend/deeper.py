"""A module that a module of the user's own uses."""

SEVEN = 7
