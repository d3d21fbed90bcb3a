"""Types and values of the store as Flyte's literals, and back."""
