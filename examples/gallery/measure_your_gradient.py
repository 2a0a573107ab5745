"""
Measure your gradient
=====================

How far is an estimator's mean from the true gradient, and how much does a single draw vary?
Where all choices can be counted the truth is known, and both are measured: on your model, with
your loss, as far as it has been trained. Here the model is a small auto-encoder of handwritten
digits, with four variables of four values: 256 codes.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch import nn

from directmax import (
    Categorical,
    Direct,
    GumbelSoftmax,
    LocalExpectation,
    ScoreFunction,
    compare_gradients,
)

VARIABLES, VALUES = 4, 4

pixels, _ = load_digits(return_X_y=True)
images = torch.tensor(pixels / 16, dtype=torch.float32)
images = images[torch.randperm(len(images), generator=torch.Generator().manual_seed(0))]

torch.manual_seed(0)
encoder = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, VARIABLES * VALUES))
decoder = nn.Sequential(nn.Linear(VARIABLES * VALUES, 64), nn.ReLU(), nn.Linear(64, 64))


def q_of(x):
    return Categorical(encoder(x).unflatten(-1, (VARIABLES, VALUES)))


def loss_of(x):
    return lambda z: ((decoder(z.flatten(-2)) - x) ** 2).sum(-1)


# %%
# One call
# --------
# A distribution, a loss and the estimators are all that is asked for. The gradient is that of
# the mean loss with respect to the logits of every image.

x = images[:20]


def measure(estimators, draws=300):
    generator = torch.Generator().manual_seed(1)
    return compare_gradients(
        Categorical(q_of(x).logits.detach()),
        loss_of(x),
        estimators,
        num_draws=draws,
        generator=generator,
        timing=False,
    )


candidates = {
    "local expectation": LocalExpectation(),
    "score function, 4": ScoreFunction(num_samples=4),
    "direct, auto": Direct(),
    "direct, Rao-Blackwell": Direct(rao_blackwell=True),
    "Gumbel-Softmax, 0.5": GumbelSoftmax(0.5),
}
fresh = measure(candidates)
print(fresh)

# %%
# ``≤`` says that no bias was seen: it is below that. Before training, the loss hardly depends
# on the code, and the gradient is small.
#
# After some training
# -------------------
# The same measurement again, because what is true of a fresh model need not be true of a
# trained one.


def train(steps=300):
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=3e-3)
    estimator, generator = GumbelSoftmax(0.5), torch.Generator().manual_seed(2)
    for _ in range(steps):
        batch = images[torch.randint(len(images), (100,), generator=generator)]
        loss = estimator(q_of(batch), loss_of(batch), generator=generator).loss.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


train()
later = measure(candidates)
print(later)

# %%
# The order is not the one it was. The exact gradient is smaller now, many images have a sure
# code, and what samples only finds a gradient when another code is drawn (``zero``: the share
# of draws without one). The local expectation looks at all single changes of a code, so that it
# always has one.


def of_exact(comparison, name):
    return comparison[name].bias.value / comparison.norm


mse = {name: later[name].mse.value for name in candidates}
assert min(mse, key=mse.get) == "local expectation"
assert later["local expectation"].bias.low == fresh["local expectation"].bias.low == 0
assert of_exact(later, "Gumbel-Softmax, 0.5") > of_exact(fresh, "Gumbel-Softmax, 0.5")
ratio = mse["Gumbel-Softmax, 0.5"] / mse["local expectation"]
print(f"mean squared error of Gumbel-Softmax, in that of the local expectation: {ratio:.0f}")

# %%
# The step and the temperature
# ----------------------------
# The direct estimator has a step ε, Gumbel-Softmax a temperature τ. Both trade bias for
# variance; how much of either is right for a model is a measurement, not a rule.

values = [0.1, 0.3, 1.0, 3.0]
found = measure(
    {f"ε {v}": Direct(v, rao_blackwell=True) for v in values}
    | {f"τ {v}": GumbelSoftmax(v) for v in values}
)

figure, axes = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained", sharey=True)
for ax, letter, name in zip(
    axes, "ετ", ("Direct(ε, rao_blackwell=True)", "GumbelSoftmax(τ)"), strict=True
):
    rows = [found[f"{letter} {v}"] for v in values]
    ax.plot(values, [row.bias.value for row in rows], "o-", label="bias")
    ax.plot(values, [row.variance.value**0.5 for row in rows], "s--", label="standard deviation")
    ax.axhline(found.norm, color="0.5", lw=1, label="the gradient itself")
    ax.set(xlabel=letter, title=name, xscale="log", yscale="log")
axes[0].legend()
plt.show()

# %%
# With respect to the weights
# ---------------------------
# What reaches the optimizer is the gradient of the weights for a whole mini-batch.
# ``parameters=`` asks for that; one backward pass a draw, so fewer draws.

whole = compare_gradients(
    lambda: q_of(x),
    loss_of(x),
    {"local expectation": LocalExpectation(), "Gumbel-Softmax, 0.5": GumbelSoftmax(0.5)},
    parameters=list(encoder.parameters()),
    num_draws=100,
    generator=torch.Generator().manual_seed(3),
    timing=False,
)
print(whole)
assert whole["local expectation"].mse.value < whole["Gumbel-Softmax, 0.5"].mse.value

# %%
# What the columns are, models too large to enumerate, and the command ``directmax gradients``
# are in :doc:`/gradients`; what came out on MNIST and Fashion-MNIST is in
# :doc:`/which-estimator`.
