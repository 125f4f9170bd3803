"""Versions in the model store: how one is written, described, checked, chosen and removed."""
