"""Images for training and testing beside MNIST's: drawn digits, disturbed digits and non-digits."""
