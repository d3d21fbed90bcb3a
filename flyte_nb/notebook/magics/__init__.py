"""`%flyte` and its subcommands."""
