"""Networks and the auto-encoders: discrete, mixed discrete-continuous, images with attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from directmax._lazy import lazy_names
from directmax.models._encoders import COUPLED as COUPLED
from directmax.models._encoders import ENCODERS as ENCODERS
from directmax.models._encoders import EncoderKind as EncoderKind
from directmax.models._network_names import NETWORKS as NETWORKS

if TYPE_CHECKING:
    from directmax.models._attribute_networks import AttributeDecoder as AttributeDecoder
    from directmax.models._attribute_networks import AttributeEncoder as AttributeEncoder
    from directmax.models._attribute_prior import attribute_prior as attribute_prior
    from directmax.models._attribute_terms import AttributeTerms as AttributeTerms
    from directmax.models._attribute_vae import AttributeVAE as AttributeVAE
    from directmax.models._bound import Bound as Bound
    from directmax.models._codebook import Codebook as Codebook
    from directmax.models._codebook import CodebookDecoder as CodebookDecoder
    from directmax.models._discrete_vae import DiscreteVAE as DiscreteVAE
    from directmax.models._discrete_vae import LossTerms as LossTerms
    from directmax.models._distortion import distorted as distorted
    from directmax.models._groups import group_images as group_images
    from directmax.models._groups import neighbour_pairs as neighbour_pairs
    from directmax.models._image_networks import ImageDecoder as ImageDecoder
    from directmax.models._image_networks import ImageTrunk as ImageTrunk
    from directmax.models._image_networks import named_decoder as named_decoder
    from directmax.models._image_networks import named_trunk as named_trunk
    from directmax.models._mixed_networks import MixedEncoder as MixedEncoder
    from directmax.models._mixed_networks import MixedPosterior as MixedPosterior
    from directmax.models._mixed_vae import MixedTerms as MixedTerms
    from directmax.models._mixed_vae import MixedVAE as MixedVAE
    from directmax.models._networks import Decoder as Decoder
    from directmax.models._networks import Encoder as Encoder
    from directmax.models._networks import PairwiseEncoder as PairwiseEncoder
    from directmax.models._networks import StructuredEncoder as StructuredEncoder
    from directmax.models._prior import PriorTerms as PriorTerms
    from directmax.models._structured_encoders import ChainEncoder as ChainEncoder
    from directmax.models._structured_encoders import structured_encoder as structured_encoder

__all__, __getattr__, __dir__ = lazy_names(__name__)
