"""The kinds of networks for images. Does not import torch."""

NETWORKS: dict[str, str] = {
    "mlp": "one hidden layer, as in the paper",
    "conv": "convolutions of stride 2",
    "resnet": "residual blocks",
}
"""By name; what they are made of."""
