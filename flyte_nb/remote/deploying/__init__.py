"""`flyte.deploy`, and deployed tasks loaded again."""
