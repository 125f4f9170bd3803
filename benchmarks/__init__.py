"""Measurements that anyone can repeat: the service under load, its parts alone, and other servers beside it.

`python -m benchmarks --help` lists them. It uses `service` and its released model; nothing imports it.
"""
