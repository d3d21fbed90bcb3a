"""Values of secrets: looked up, and masked."""
