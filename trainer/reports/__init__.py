"""What people can read about a version: the report, the model card, and the facts in both."""
