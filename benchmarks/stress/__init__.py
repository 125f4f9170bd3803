"""Long tests of a running service: what faults and load cost it. `make stress` runs them."""
