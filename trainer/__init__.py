"""Trains a digit network on MNIST and publishes it as a version into a model store.

`training` is a run from start to end: `data` and `images` supply the images, `profiles` the recipe, and `fitting`
trains a `network`; `evaluation` and `robustness` measure it, `gate` decides whether it is good enough, `reports`
describes it to people, and `versions` publishes it. `cli` and `store_cli` are the commands.
"""
