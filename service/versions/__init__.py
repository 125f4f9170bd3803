"""The versions of a model: which the store holds, which serves, how each is prepared, loaded and judged."""
