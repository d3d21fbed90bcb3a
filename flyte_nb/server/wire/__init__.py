"""Flyte 2's wire protocol (ConnectRPC, protobuf) over a store: what `flyte-nb serve` serves (docs/server.md)."""
