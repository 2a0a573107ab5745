"""Networks and the discrete variational auto-encoder."""

from directmax.models._bound import Bound
from directmax.models._discrete_vae import DiscreteVAE, LossTerms
from directmax.models._networks import Decoder, Encoder, PairwiseEncoder

__all__ = ["Bound", "Decoder", "DiscreteVAE", "Encoder", "LossTerms", "PairwiseEncoder"]
