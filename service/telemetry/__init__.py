"""What the service tells of itself: metrics, the access log, and traces."""
