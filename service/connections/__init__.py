"""HTTP/1.1 connections: how their bytes are read and written, until each connection ends."""
