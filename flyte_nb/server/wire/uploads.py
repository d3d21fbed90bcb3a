"""Files that clients put beside the store: inputs of runs, bundles of code, what their own runs wrote.

A file is written under another name and renamed when it is whole, so that nobody finds half of one. The server deletes
none: clients remember what they have put, and do not put it again. `flyte-nb prune` does, see
`flyte_nb.store.uploaded`.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from flyteidl2.task import common_pb2
from google.protobuf.message import DecodeError

from flyte_nb.store.home import Home

__all__ = ["LARGEST_UPLOAD_BYTES", "Uploads"]

LARGEST_UPLOAD_BYTES = 4_000_000_000


class Uploads:
    """The folder of uploads of a store.

    Args:
        home: the store.
    """

    def __init__(self, home: Home) -> None:
        self.folder = home.uploads.resolve()

    def path(self, name: str) -> Path:
        """The file of a name under the folder.

        Raises:
            PermissionError: it lies outside.
        """
        try:
            path = (self.folder / name).resolve()
        except (OSError, ValueError) as error:  # a NUL, a name that is too long
            raise PermissionError(f"{name[:100]!r} is no name of a file") from error
        if not name or path == self.folder or not path.is_relative_to(self.folder):
            raise PermissionError(f"{name[:100]!r} lies outside of the folder of uploads")
        return path

    def uri(self, path: Path) -> str:
        """What clients call a file: its path, for the SDK cannot open every `file:` address that it is given."""
        return str(path)

    def named(self, uri: str) -> Path:
        """The file that a client names.

        Raises:
            PermissionError: it is none of the uploads.
            FileNotFoundError: it was not uploaded.
        """
        parts = urlsplit(uri)
        if parts.scheme not in ("", "file"):
            raise PermissionError(f"{uri[:200]!r} is not on this server: upload it first")
        path = self.path(os.path.relpath(Path(unquote(parts.path)).resolve(), self.folder))
        if not path.is_file():
            raise FileNotFoundError(f"{uri[:200]!r} was not uploaded, or not to its end")
        return path

    def read(self, uri: str) -> bytes:
        """The content of a file that a client names; errors as `named`."""
        return self.named(uri).read_bytes()

    def inputs(self, wrapper: Any) -> common_pb2.Inputs:
        """The inputs in a message that either holds them or names where they were put.

        Raises:
            PermissionError, FileNotFoundError: as `named`.
            ValueError: there are none in the file.
        """
        if wrapper.WhichOneof("input_wrapper") != "offloaded_input_data":
            inputs: common_pb2.Inputs = wrapper.inputs
            return inputs
        uri = wrapper.offloaded_input_data.uri
        try:
            return common_pb2.Inputs.FromString(self.read(uri))
        except DecodeError as error:
            raise ValueError(f"{uri!r} holds no inputs: {error}") from error

    def write(self, name: str, content: bytes) -> Path:
        """Writes a whole file."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._aside(path)
        aside.write_bytes(content)
        aside.replace(path)
        return path

    async def receive(self, name: str, parts: AsyncIterator[bytes], most_bytes: int, md5: str = "") -> Path:
        """Writes a file as it arrives; all of it, or nothing.

        Args:
            name: of the file, under the folder.
            parts: its content.
            most_bytes: how large it may be.
            md5: of its content, in hex; empty when nobody knows.

        Raises:
            ValueError: it is too large, or not what its digest says.
            ConnectionError: the client went away before its end.
        """
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        aside, digest, size_bytes = self._aside(path), hashlib.md5(usedforsecurity=False), 0
        try:
            with aside.open("wb") as file:
                async for part in parts:
                    size_bytes += len(part)
                    if size_bytes > most_bytes:
                        raise ValueError(f"The upload is larger than the {most_bytes:,} bytes that were asked for")
                    digest.update(part)
                    file.write(part)
            if md5 and digest.hexdigest() != md5:
                raise ValueError(
                    f"The upload arrived damaged ({size_bytes:,} bytes, MD5 {digest.hexdigest()}): send it again"
                )
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)
        return path

    def _aside(self, path: Path) -> Path:
        return path.with_name(f".{secrets.token_hex(8)}.part")
