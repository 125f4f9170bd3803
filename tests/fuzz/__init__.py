"""Coverage-guided fuzzing of what reads other people's bytes; `make fuzz` runs it: it needs a package of its own."""
