"""On the path of a test's pilots: their cells sleep in place of training, without torch."""

from bench.scheduling.engines import local

local.LocalEngine.__init__.__kwdefaults__["target"] = "tests.cluster.quick_cells:sleep"
