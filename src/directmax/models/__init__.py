"""Networks and the auto-encoders: discrete, mixed discrete-continuous, images with attributes."""

from directmax.models._attribute_networks import AttributeDecoder, AttributeEncoder
from directmax.models._attribute_vae import AttributeTerms, AttributeVAE
from directmax.models._bound import Bound
from directmax.models._discrete_vae import DiscreteVAE, LossTerms
from directmax.models._mixed_networks import MixedEncoder, MixedPosterior
from directmax.models._mixed_vae import MixedTerms, MixedVAE
from directmax.models._networks import Decoder, Encoder, PairwiseEncoder

__all__ = [
    "AttributeDecoder",
    "AttributeEncoder",
    "AttributeTerms",
    "AttributeVAE",
    "Bound",
    "Decoder",
    "DiscreteVAE",
    "Encoder",
    "LossTerms",
    "MixedEncoder",
    "MixedPosterior",
    "MixedTerms",
    "MixedVAE",
    "PairwiseEncoder",
]
