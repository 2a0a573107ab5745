"""
A solver in a network
=====================

A map is a square of handwritten digits. A path leads from the upper left to the lower right
corner, to the right and down, and entering a cell costs its digit. A network sees the images; a
solver finds the path; nobody says what a digit is. All that the training is told is what a path
has cost.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

from directmax import Direct, PerturbedArgmax
from directmax.objectives import LinearCost
from directmax.structures import Paths

SIDE, STEPS = 6, 250

pixels, digits = load_digits(return_X_y=True)
order = torch.randperm(len(digits), generator=torch.Generator().manual_seed(0))
images = torch.tensor(pixels / 16, dtype=torch.float32)[order]
digits = torch.tensor(digits, dtype=torch.float32)[order]
FIRST_TEST = 1400  # images before it are for training


def maps(count, test=False, generator=None):
    """Images of the cells (count, cells, 64) and what entering them costs (count, cells)."""
    low, high = (FIRST_TEST, len(images)) if test else (0, FIRST_TEST)
    cells = torch.randint(low, high, (count, SIDE * SIDE), generator=generator)
    return images[cells], digits[cells]


# %%
# The solver
# ----------
# The set of all paths is a structure. Its argmax is a compiled dynamic program for a whole
# batch, and costs are weights with their sign changed.

paths = Paths.grid(SIDE, SIDE, on="vertices")
print(paths)

# %%
# The network, and the gradient through the solver
# ------------------------------------------------
# Every image gets a weight. ``PerturbedArgmax`` adds noise to the weights and asks the solver
# for the best path; ``Direct`` asks it once more, with the weights moved a little against the
# costs, and takes the difference of the two paths for the gradient. The solver itself is never
# differentiated.


def train(estimator, seed):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(seed)
    costs = []
    for _ in range(STEPS):
        x, cost = maps(50, generator=generator)
        q = PerturbedArgmax(network(x).squeeze(-1), paths)
        loss = estimator(q, LinearCost(cost, binary=True), generator=generator).loss.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        costs.append(loss.item())
    return network, costs


network, costs = train(Direct(), seed=0)

# %%
# For comparison the same network, the same number of steps, with every digit known: least
# squares of the costs of single cells, as if the solver were not there.


def regress(seed):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(STEPS):
        x, cost = maps(50, generator=generator)
        loss = (network(x).squeeze(-1) + cost).square().mean()  # the weight is −cost
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


# %%
# What it has learnt
# ------------------
# 500 maps of digits that were not trained on: by how much the planned paths cost more than the
# cheapest ones.

x, cost = maps(500, test=True, generator=torch.Generator().manual_seed(5))
cheapest = (paths.argmax(-cost) * cost).sum(-1)


@torch.no_grad()
def excess(network):
    planned = paths.argmax(network(x).squeeze(-1))
    return ((planned * cost).sum(-1) / cheapest - 1).mean().item()


torch.manual_seed(0)
untrained = excess(nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)))
learnt, known = excess(network), excess(regress(seed=0))
print(f"untrained {untrained:.1%}, from costs of paths {learnt:.1%}, from every digit {known:.1%}")
assert learnt < known < untrained

# %%
# Learning from the costs of whole paths is ahead of learning every digit, for the same number
# of steps: a network of this size gets no digit quite right, and the costs of paths say which
# errors matter. The weights fall with the digit, though no digit was ever named:

with torch.no_grad():
    weights = network(images[FIRST_TEST:]).squeeze(-1)
means = [weights[digits[FIRST_TEST:] == digit].mean().item() for digit in range(10)]

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
smooth = [sum(costs[i : i + 10]) / 10 for i in range(len(costs) - 10)]
left.plot(smooth)
left.axhline(cheapest.mean().item(), color="0.5", ls="--", label="cheapest paths, test maps")
left.set(xlabel="step", ylabel="cost of the sampled paths")
left.legend()
right.plot(range(10), means, "o-")
right.set(xlabel="digit", ylabel="mean weight of its images", xticks=range(10))
plt.show()

# %%
figure, axes = plt.subplots(1, 3, figsize=(8, 2.9), layout="constrained")
with torch.no_grad():
    planned = paths.argmax(network(x[:3]).squeeze(-1))
for ax, cells, path, best in zip(axes, x, planned, paths.argmax(-cost[:3]), strict=False):
    tiles = cells.view(SIDE, SIDE, 8, 8).transpose(1, 2).reshape(8 * SIDE, 8 * SIDE)
    ax.imshow(tiles, cmap="gray_r")
    for chosen, color, shift, label in (
        (best, "C1", 0.4, "cheapest"),
        (path, "C0", -0.4, "planned"),
    ):
        at = chosen.nonzero().squeeze(-1)
        ax.plot(at % SIDE * 8 + 3.5 + shift, at // SIDE * 8 + 3.5 + shift, color, lw=2, label=label)
    ax.set_axis_off()
axes[0].legend(loc="lower left", fontsize=8)
plt.show()

# %%
# Other sets of choices (matchings, subsets, trees, knapsacks) are in :doc:`/structures`; a
# solver of your own is a function, see :doc:`/any-argmax`. The same task on larger maps, with
# other estimators and three seeds, is :doc:`/digit-maps`.
