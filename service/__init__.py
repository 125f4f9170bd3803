"""Serves handwritten-digit predictions over HTTP from the versions in a model store.

A request arrives at `connections` and passes through `exchange` to a route of `routes`. `bodies` turns its body into
rows, with `imaging` if it is a picture; `batching` runs them together with other requests' rows in an engine of
`engines`; `answers` writes the result. `versions` finds, prepares and loads the versions; `telemetry` reports on all of
it. `app` puts the parts together; `workers` runs it, once for each core.
"""

import os

# Set before NumPy is imported anywhere. The arrays here are small: OpenBLAS's own threads would only take cores
# from the threads that decode pictures and run the network.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
