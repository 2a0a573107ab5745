"""
A discrete code of your images
==============================

A folder of pictures goes in; a few switches come out, from which every picture is drawn again,
roughly. Nothing is labelled. The pictures here are handwritten digits, written to a folder as a
camera would; yours are a path.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from PIL import Image
from sklearn.datasets import load_digits

import directmax
from directmax.tool import TrainConfig, train

work = Path(tempfile.mkdtemp())
folder = work / "pictures"
folder.mkdir()
pixels, digits = load_digits(return_X_y=True)
for number, picture in enumerate(pixels):
    Image.fromarray((picture.reshape(8, 8) * 255 / 16).astype("uint8")).save(
        folder / f"{number:04}.png"
    )

# %%
# Train
# -----
# Six variables of four values: 4,096 codes of twelve bits. On the command line this is
# ``directmax train --data PATH --variables 6 --values 4 --hidden 100 --epochs 80``.

config = TrainConfig(data="own", variables=6, values=4, hidden=100, epochs=80)
summary = train(config, work / "run", images=str(folder), device="cpu")
bound = summary["test"]["bound"]
print(f"test images: {bound:.2f} nats each, {summary['seconds_per_epoch']:.2f} s an epoch")

# %%
# The bound says in how many nats an image can be written down by way of its code; its share
# that goes into the code is the KL term. For comparison: every pixel on its own, as often on as
# in all images.

model = directmax.load(work / "run")
images = torch.tensor(pixels / 16, dtype=torch.float32).view(-1, 8, 8)
share = (images > 0.5).float().mean(0).clamp(1e-3, 1 - 1e-3)
alone = -(share * share.log() + (1 - share) * (1 - share).log()).sum().item()
print(f"by its code {bound:.1f} nats, every pixel on its own {alone:.1f} nats")
assert bound < alone

# %%
# Encode, and draw again
# ----------------------

found = model.encode(images)
again = model.decode(found.code)
print("codes of the first pictures:", *("".join(map(str, c.tolist())) for c in found.code[:5]))


def show(rows, names):
    _, axes = plt.subplots(len(rows), len(rows[0]), figsize=(8, 0.95 * len(rows)))
    for name, row, pictures in zip(names, axes, rows, strict=True):
        for ax, picture in zip(row, pictures, strict=True):
            ax.imshow(picture.view(8, 8), cmap="gray_r", vmin=0, vmax=1)
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    plt.show()


show([images[:10], again[:10]], ["picture", "from its code"])
explained = (
    1 - ((again - images) ** 2).mean().item() / ((images.mean(0) - images) ** 2).mean().item()
)
print(f"of the variance of the pixels the codes explain {explained:.0%}")
assert 0.1 < explained < 0.9

# %%
# Twelve bits are few, and this training was short: some digits come out as another one that
# looks like them. More variables and ``--epochs`` bring the drawing nearer to the picture.

# %%
# What a switch does
# ------------------
# The code of one picture, with the values of one variable after the other. Which variable does
# what was not asked for; the first column is the picture itself.

code = found.code[0]
rows = []
for variable in range(6):
    changed = code.repeat(4, 1)
    changed[:, variable] = torch.arange(4)
    rows.append([images[0], *model.decode(changed)])
show(rows, [f"z{variable + 1} = 0 to 3" for variable in range(6)])

# %%
# What the code knows
# -------------------
# Nobody told the model about digits. Take for every picture the other one whose code differs in
# the fewest variables (of several, the first), and look whether it is the same digit.

labels = torch.tensor(digits)
differing = (found.code[:, None] != found.code[None]).sum(-1)
differing.fill_diagonal_(7)
right = (labels[differing.argmin(1)] == labels).float().mean().item()
frequency = torch.bincount(labels).max().item() / len(labels)
different = len(found.code.unique(dim=0))
print(f"{different} different codes for {len(images)} pictures")
print(f"the nearest code is of the same digit: {right:.0%}; by chance {frequency:.0%}")
assert right > 3 * frequency

# %%
# To touch it: ``directmax explore RUN`` writes one page with a switch for every variable, which
# takes pictures that are drawn or dropped in. The folder of the run has a report too,
# ``report.html``. Then: :doc:`/data` for other kinds of files, :doc:`/command-line` for every
# command, :doc:`few_labels` to make a value of the code mean what you want.
