"""Trains a digit network on MNIST and publishes it as a version into a model store."""
