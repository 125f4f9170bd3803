"""Coverage-guided fuzzing of the code that reads untrusted bytes; `make fuzz` runs it, as it needs an extra package."""
