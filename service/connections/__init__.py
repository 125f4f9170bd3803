"""Connections: HTTP/1.1 as it comes and goes, piece by piece, until each connection ends."""
