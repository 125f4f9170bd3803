"""Trains a digit network on MNIST and publishes it as a version into a model store.

`training` tells the story of a run: `data` and `images` give it what to learn, `profiles` says how, `fitting` has a
`network` learn it; `evaluation` and `robustness` judge what came out, `gate` decides, `reports` tells people, and
`versions` publishes. `cli` and `store_cli` are the commands.
"""
