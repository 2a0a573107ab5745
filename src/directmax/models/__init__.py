"""Networks and the discrete variational auto-encoder."""

from directmax.models._discrete_vae import Bound, DiscreteVAE, LossTerms
from directmax.models._networks import Decoder, Encoder

__all__ = ["Bound", "Decoder", "DiscreteVAE", "Encoder", "LossTerms"]
