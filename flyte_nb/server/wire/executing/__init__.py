"""Runs that clients ask the server to execute: deployed tasks of flyte_nb, and Flyte's own, a process an attempt."""
