"""Files, folders and frames that are too large to pass by value: Flyte's `flyte.io`."""

from flyte_nb.io.dataframe import PARQUET, DataFrame
from flyte_nb.io.dir import Dir, EmptyDir
from flyte_nb.io.file import File
from flyte_nb.io.hashing import HashFunction, HashMethod

__all__ = ["PARQUET", "DataFrame", "Dir", "EmptyDir", "File", "HashFunction", "HashMethod"]
