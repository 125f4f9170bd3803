"""Images that are made, not found: drawn digits, disturbed ones, and what is no digit."""
