"""Virtual environments built from images."""
