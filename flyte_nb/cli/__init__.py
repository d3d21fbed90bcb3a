"""The command line `flyte-nb`, verb and noun as Flyte's; one module a verb or a group of them."""
