"""How worker processes start, and how they end."""
