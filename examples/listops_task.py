"""Small ListOps: expressions such as [MAX 3 [MIN 5 2 ] 7 ], their values and trees, and a network.

After Nangia and Bowman 2018, with two operations and short expressions. A token's head is the
operation that it is an argument of, or closes; the first operation hangs from the root.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LENGTH = 14
OPERATIONS = {10: max, 11: min}
CLOSE, PADDING = 12, 13


@dataclass(frozen=True)
class Expressions:
    """Tokens `(b, n)`, lengths `(b,)`, heads one-hot `(b, n, n + 1)`, and values `(b,)`."""

    tokens: Tensor
    lengths: Tensor
    heads: Tensor
    values: Tensor

    def __getitem__(self, index: Tensor) -> Expressions:
        return Expressions(*(each[index] for each in vars(self).values()))


def _expression(rng: random.Random, depth: int, head: int, into: list[tuple[int, int]]) -> int:
    """Append (token, head) for all tokens; the value."""
    place, operation = len(into) + 1, rng.choice(list(OPERATIONS))
    into.append((operation, head))
    arguments = []
    for _ in range(rng.randint(2, 3)):
        if depth and rng.random() < 0.4:
            arguments.append(_expression(rng, depth - 1, place, into))
        else:
            arguments.append(rng.randrange(10))
            into.append((arguments[-1], place))
    into.append((CLOSE, place))
    return OPERATIONS[operation](arguments)


def expressions(count: int, seed: int) -> Expressions:
    """Random ones of at most 14 tokens and three levels."""
    rng, values = random.Random(seed), []
    tokens = torch.full((count, LENGTH), PADDING)
    heads = torch.zeros(count, LENGTH, LENGTH + 1)
    lengths = torch.zeros(count, dtype=torch.int64)
    while len(values) < count:
        found: list[tuple[int, int]] = []
        value = _expression(rng, 2, 0, found)
        if len(found) > LENGTH:
            continue
        row = len(values)
        for place, (token, head) in enumerate(found):
            tokens[row, place], heads[row, place, head] = token, 1
        lengths[row] = len(found)
        values.append(value)
    return Expressions(tokens, lengths, heads, torch.tensor(values))


class Network(nn.Module):
    """Weights of heads from a two-way LSTM; messages along the edges of a tree to its root.

    The messages know tokens, not places: what belongs together comes from the tree alone.
    """

    def __init__(self, hidden: int = 48) -> None:
        super().__init__()
        self.words = nn.Embedding(PADDING + 1, hidden)
        self.reader = nn.LSTM(hidden, hidden, batch_first=True, bidirectional=True)
        self.child, self.head = nn.Linear(2 * hidden, hidden), nn.Linear(2 * hidden, hidden)
        self.root = nn.Parameter(torch.zeros(hidden))
        self.tokens = nn.Embedding(PADDING + 1, hidden)
        self.message = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU())
        self.update = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, hidden)
        )
        self.value = nn.Linear(hidden, 10)

    def weights(self, tokens: Tensor) -> Tensor:
        """Of all heads, `(b, n, n + 1)`."""
        states, _ = self.reader(self.words(tokens))
        heads = torch.cat([self.root.expand(len(tokens), 1, -1), self.head(states)], 1)
        return self.child(states) @ heads.mT / heads.shape[-1] ** 0.5

    def losses(self, tokens: Tensor, z: Tensor, values: Tensor) -> Tensor:
        """−log p(value | tree) `(*s, b)` in nats, for heads z `(*s, b, n, n + 1)`."""
        logits = self.logits(tokens, z)
        wanted = values.expand(logits.shape[:-1])
        flat = F.cross_entropy(logits.flatten(0, -2), wanted.flatten(), reduction="none")
        return flat.view(wanted.shape)

    def logits(self, tokens: Tensor, z: Tensor) -> Tensor:
        """Of the values, `(*s, b, 10)`."""
        own = self.tokens(tokens)
        state = own.expand(*z.shape[:-1], -1)
        for _ in range(3):
            arriving = z[..., 1:].mT @ self.message(state)  # at each head, from its children
            state = self.update(torch.cat([own.expand_as(arriving), arriving], -1))
        return self.value((z[..., :1] * state).sum(-2))
