"""Runs that repeat others: rerun, recovered from where they stopped, forked onto other code."""
