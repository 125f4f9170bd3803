"""What people are told of a version: the report, the model card, and the facts in both."""
