"""Imported by the fork server before any worker: pays for the heavy imports once.

Importing must never initialise CUDA: a process forked after that cannot use it.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os

VARIABLE = "RETABLE_PRELOAD"

_names = [name for name in os.environ.get(VARIABLE, "").split(",") if name]
for _name in _names:
    # A module that cannot be imported fails in each worker, where the record can tell of it.
    with contextlib.suppress(Exception):
        importlib.import_module(_name)
if _names:
    # Only the server has names: it holds nothing but modules, and tearing those down makes some
    # of them complain on stderr.
    atexit.register(os._exit, 0)
# What is here now stays: garbage collection in the workers need not touch, and so copy, it.
gc.collect()
gc.freeze()
