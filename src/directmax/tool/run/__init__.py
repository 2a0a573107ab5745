"""The training loop, its configuration, checkpoints, metrics and run folder.

Imported lazily: `directmax.tool.config.train` does not import torch, so that the command line
starts fast.
"""
