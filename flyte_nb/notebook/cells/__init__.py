"""Cells as tasks."""
