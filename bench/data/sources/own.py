"""The images of a user's own folder, in either of its layouts."""

from __future__ import annotations

from pathlib import Path

from bench.data.sources.source import Source
from bench.spec.cell import Resources

# Each layout is imported where it is used: editing one concerns the cells of its sets alone.


def own_images(name: str, resources: Resources) -> Source:
    """Return the rows of a dataset that is one of the suite's folders.

    Raises
    ------
    DataError
        If the folder is not of its layout.
    """
    folder = Path(resources.folders[name])
    if name in resources.lists:
        from bench.data.sources.listed import listed_source

        return listed_source(folder, *resources.lists[name])
    from bench.data.sources.folder import folder_source

    return folder_source(name, folder)
