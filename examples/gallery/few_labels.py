"""
Few labels
==========

Fifty images of handwritten digits have a label, five of each digit; more than a thousand have
none. A model with a discrete code for *which* digit and a Gaussian code for *how* it is written
learns from all of them. How much do the images without a label help?
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression

import directmax
from directmax.tool import TrainConfig, train
from directmax.tool.data import load_images

data = load_images("digits")
binary = {name: (getattr(data, name).images > 0.5).float() for name in ("train", "test")}
print(f"{len(data.train)} images to train on, {len(data.test)} to test")

# %%
# From the labels alone
# ---------------------
# A linear classifier of the same binary pixels, for ten draws of fifty labelled images.


def from_labels_alone(seed):
    draw = np.random.default_rng(seed)
    labels = data.train.labels.numpy()
    rows = [draw.choice(np.flatnonzero(labels == digit), 5, replace=False) for digit in range(10)]
    rows = np.concatenate(rows)
    model = LogisticRegression(max_iter=1000).fit(binary["train"][rows].numpy(), labels[rows])
    return model.score(binary["test"].numpy(), data.test.labels.numpy())


alone = [from_labels_alone(seed) for seed in range(10)]
print(f"{np.mean(alone):.1%} of the test images are right, ± {np.std(alone):.1%}")

# %%
# With the images that have none
# ------------------------------
# On the command line ``directmax train --model mixed --labels 50 --epochs 60``. The fifty are
# drawn by the seed, from the training images.

run = Path(tempfile.mkdtemp()) / "run"
summary = train(TrainConfig(model="mixed", labels=50, epochs=60), run, device="cpu")
accuracy = summary["test"]["accuracy"]
print(f"{accuracy:.1%} of the test images are right")
assert accuracy > np.mean(alone)

# %%
# One draw of labels, and so one number; which images happen to be labelled matters, as the ±
# above shows. :doc:`/mixed` has larger data sets, with several seeds.
#
# How sure it is
# --------------
# The code comes with its probability. The half of the images of which the model is surer is
# right more often than the other half. The ten of which it is least sure, with what it takes
# them for:

model = directmax.load(run)
found = model.encode(data.test.images)
sure = found.probabilities[:, 0].amax(-1)
right = found.code[:, 0] == data.test.labels
halves = [right[half].float().mean().item() for half in sure.argsort(descending=True).chunk(2)]
print(f"right: {halves[0]:.1%} of the surer half, {halves[1]:.1%} of the other")
assert halves[0] > halves[1]

_, axes = plt.subplots(1, 10, figsize=(8, 1.1), layout="constrained")
for ax, image in zip(axes, sure.argsort()[:10], strict=True):
    ax.imshow(data.test.images[image].view(8, 8), cmap="gray_r", vmin=0, vmax=1)
    ax.set_title(f"{found.code[image, 0]}?")
    ax.set_axis_off()
plt.show()

# %%
# Where it is wrong
# -----------------
# The most frequent mistakes on the test images.

wrong = {}
for true, guess in zip(data.test.labels.tolist(), found.code[:, 0].tolist(), strict=True):
    if true != guess:
        wrong[true, guess] = wrong.get((true, guess), 0) + 1
for (true, guess), count in sorted(wrong.items(), key=lambda each: -each[1])[:5]:
    print(f"{count:3} times a {true} was taken for a {guess}")
assert sum(wrong.values()) == round((1 - accuracy) * len(data.test))

# %%
# Sixty epochs are enough for the class, not for sharp drawings. Longer trainings, which draw
# every digit in a given handwriting, are in :doc:`/mixed`. ``directmax evaluate RUN`` prints
# accuracy and confusion matrix. Several attributes of photographs are :doc:`/attributes`;
# labels in a model of your own are :py:class:`~directmax.LabelledDirect`.
