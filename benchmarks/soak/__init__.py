"""A long mixed load with faults, and the account of it. `make soak` runs it."""
