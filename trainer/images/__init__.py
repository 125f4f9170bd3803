"""What is learned from, and tested with, beside MNIST: drawn digits, disturbed ones, and what is no digit."""
