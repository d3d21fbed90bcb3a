"""Everything recorded: journals that runs write, values by digest, and the DuckDB database that people query."""
