"""Encoder and decoder of a trained model as plain modules of tensors, to be exported."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from directmax.models import AttributeVAE, MixedVAE
from directmax.tool.run.trained import TrainedModel


class ExportedEncoder(nn.Module):
    """Images `(b, …)` in [0, 1], binarised, → what is known of their codes.

    Of independent variables `probabilities` `(b, n, k)` and `code` `(b, n)`, of coupled ones the
    potentials `unary` `(b, n, 2)` and `pairwise` `(b, P)`, whose argmax is a solver's. With a
    Gaussian code, and independent variables, also its mean for the most probable code, `gaussian`.
    """

    def __init__(self, trained: TrainedModel) -> None:
        super().__init__()
        self.eval()
        model: Any = trained.model
        self.encoder: Any = model.encoder
        self.attributes = isinstance(model, AttributeVAE)
        self.mixed = isinstance(model, MixedVAE)
        self.coupled = trained.config.encoder != "independent"
        self.inputs = ["images"]
        self.outputs = ["unary", "pairwise"] if self.coupled else ["probabilities", "code"]
        if self.mixed or (self.attributes and not self.coupled):
            self.outputs.append("gaussian")

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """In the order of `outputs`."""
        if self.coupled:
            return self._potentials(images)
        logits, gaussian = self._logits(images), None
        code = logits.argmax(-1)  # (b, n)
        if self.mixed:
            means = self.encoder(images).mean  # (b, k, c)
            index = code.unsqueeze(-1).expand(-1, -1, means.shape[-1])
            gaussian = means.gather(1, index).squeeze(1)
        elif self.attributes:
            features = self.encoder.features(images)
            gaussian = self.encoder.gaussians(features, code.to(features.dtype))[0]
        found = (logits.softmax(-1), code)
        return found if gaussian is None else (*found, gaussian)

    def _logits(self, images: Tensor) -> Tensor:
        if self.attributes:
            potentials = self.encoder.potentials(self.encoder.seen(2 * images - 1))
            pairs: Tensor = potentials.unflatten(-1, (self.encoder.num_variables, 2))
            return pairs
        output = self.encoder(images)
        logits: Tensor = output.logits if self.mixed else output
        return logits

    def _potentials(self, images: Tensor) -> tuple[Tensor, Tensor]:
        if self.attributes:
            outputs = self.encoder.potentials(self.encoder.seen(2 * images - 1))
            coupled = self.encoder.coupled
        else:
            outputs, coupled = self.encoder.layers(images), self.encoder.potentials
        both: tuple[Tensor, Tensor] = coupled.parts(outputs)
        return both


class ExportedDecoder(nn.Module):
    """One-hot z `(b, n, k)`, and where there is one the Gaussian code `(b, c)`, → mean images."""

    def __init__(self, trained: TrainedModel) -> None:
        super().__init__()
        self.eval()
        model: Any = trained.model
        self.decoder: Any = model.decoder
        self.attributes, self.mixed = isinstance(model, AttributeVAE), isinstance(model, MixedVAE)
        self.shape = trained.images.shape
        self.outputs = ["images"]
        self.inputs = ["z", *(["gaussian"] if self.attributes or self.mixed else [])]

    def forward(self, z: Tensor, gaussian: Tensor | None = None) -> Tensor:
        """Mean images `(b, *shape)` in [0, 1]."""
        if gaussian is None:
            logits = self.decoder(z)
        elif self.attributes:
            images: Tensor = self.decoder(gaussian, z[..., 1])
            return images
        else:
            logits = self.decoder(z.squeeze(1).unsqueeze(-1) * gaussian.unsqueeze(1))
        return torch.sigmoid(logits).unflatten(-1, self.shape)
