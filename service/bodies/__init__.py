"""From a request's body, of whatever media type, to rows: how much of it is held, and what is wrong with it."""
