"""The kinds of encoders. Does not import torch."""

ENCODERS: dict[str, str] = {
    "independent": "",
    "pairwise": "binary variables with couplings of any sign",
    "supermodular": "couplings of 0 or more",
}
"""By name; what their variables are."""
