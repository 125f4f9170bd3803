"""Turns request bodies of every media type into rows, bounds their memory, and says what is wrong with them."""
