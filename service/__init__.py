"""Serves handwritten-digit predictions over HTTP from the versions in a model store."""

import os

# Before NumPy is imported anywhere. The arrays here are small: threads of its own would only take the
# cores from those that decode pictures and run the network.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
