"""Versions in the model store: how one is written, stated, checked, chosen and removed."""
