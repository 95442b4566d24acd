"""Files that get a name once and never take another's, where hard links are missing too.

With hard links that is one step. Without them (some FUSE and parallel file systems have none across
folders) a name is taken by creating a file with O_EXCL: a lease is created so itself; of a record
it is the name of its *claim*, and whoever created that may rename the record to its place.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

NO_LINKS = {
    errno.EPERM,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.EXDEV,
    errno.EMLINK,
    errno.ENOSYS,
}
"""What a file system says that gives no file two names: a store works there all the same."""


def link(file: Path, path: Path) -> bool | None:
    """Give a file a further name unless another has it.

    Returns
    -------
    bool or None
        Whether it has the name; None where the file system gives no file two names.

    Raises
    ------
    OSError
        If it cannot be done for another reason.
    """
    try:
        os.link(file, path)
    except FileExistsError:
        # A network file system may answer a repeated request of ours so.
        try:
            return path.samefile(file)
        except FileNotFoundError:
            return False
    except OSError as error:
        if error.errno in NO_LINKS:
            return None
        raise
    return True


def create(path: Path, content: bytes) -> bool:
    """Create a file with content, on the disk when this returns; False if the name is taken.

    It is empty for a moment. If it cannot be written it is removed again.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        return False
    try:
        try:
            _write_all(handle, content)
            os.fsync(handle)
        finally:
            os.close(handle)
        # Where O_EXCL is not kept, another's content may be there.
        return path.read_bytes() == content
    except OSError:
        path.unlink(missing_ok=True)
        raise


def write_synced(path: Path, content: bytes) -> None:
    """Write a new file whose bytes are on the disk when this returns."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _write_all(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_all(handle: int, content: bytes) -> None:
    """Write all of the content to a descriptor."""
    left = memoryview(content)
    while left:
        left = left[os.write(handle, left) :]
