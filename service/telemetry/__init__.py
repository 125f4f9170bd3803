"""Telemetry of the service: metrics, the access log, and traces."""
