"""Serves handwritten-digit predictions over HTTP from the versions in a model store.

A request comes in by `connections` and through `exchange` to a route of `routes`. `bodies` makes rows of what was sent,
with `imaging` if it is a picture; `batching` runs them with those of others in an engine of `engines`; `answers` writes
what the network said. `versions` finds, prepares and loads what answers, `telemetry` tells of all of it. `app` puts the
parts together; `workers` runs it, once for each core.
"""

import os

# Before NumPy is imported anywhere. The arrays here are small: threads of its own would only take the
# cores from those that decode pictures and run the network.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
