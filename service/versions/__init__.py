"""The versions of a model: which ones the store holds, which one serves, how each is prepared, loaded and judged."""
