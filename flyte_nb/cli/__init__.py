"""The command line: `flyte-nb run | runs | show | logs | sql`."""
