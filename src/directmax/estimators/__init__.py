"""E_q[f] as a value whose gradient is the estimator's; one file a family.

`ESTIMATORS` declares each that has a name on the command line. Classes are imported on first use,
so that the declarations can be read without torch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from directmax._lazy import lazy_names

if TYPE_CHECKING:
    from directmax.estimators._arm import Arm as Arm
    from directmax.estimators._arm import DisArm as DisArm
    from directmax.estimators._base import Estimate as Estimate
    from directmax.estimators._base import Estimator as Estimator
    from directmax.estimators._clamped_argmax import ClampedArgmax as ClampedArgmax
    from directmax.estimators._corrected_direct import CorrectedDirect as CorrectedDirect
    from directmax.estimators._direct import Direct as Direct
    from directmax.estimators._exact import Exact as Exact
    from directmax.estimators._gumbel_softmax import GumbelSoftmax as GumbelSoftmax
    from directmax.estimators._implicit_mle import ImplicitMLE as ImplicitMLE
    from directmax.estimators._labelled_direct import LabelledDirect as LabelledDirect
    from directmax.estimators._local_expectation import LocalExpectation as LocalExpectation
    from directmax.estimators._rebar import Rebar as Rebar
    from directmax.estimators._rebar import Relax as Relax
    from directmax.estimators._rebar import Surrogate as Surrogate
    from directmax.estimators._score_function import ScoreFunction as ScoreFunction
    from directmax.estimators._straight_through import GumbelRao as GumbelRao
    from directmax.estimators._straight_through import ReinMax as ReinMax
    from directmax.estimators._straight_through import StraightThrough as StraightThrough

__all__, __getattr__, __dir__ = lazy_names(__name__)

_DRAWS = {"num_samples": "num_samples"}
_STEP = {"epsilon": "epsilon", "epsilon_scale": "scale", "two_sided": "two_sided", **_DRAWS}
_MEAN = {"rao_blackwell": "rao_blackwell"}
_RELAXED = {"temperature": "temperature", **_DRAWS}
_BOTH = ("unary", "states")


@dataclass(frozen=True)
class Declaration:
    """What is known of an estimator without importing it.

    Attributes:
        class_name: its class, a name of this package.
        uses: settings of a training that it uses, and the constructor's argument for each.
        anneals: the setting that may fall with the step.
        coupled: kinds of noise with which it takes coupled variables; none: independent ones only.
        independent: whether it takes independent variables.
        binary: whether it takes binary variables only.
        temperature: where τ starts.
        parts: arguments that are networks of their own: their classes, for n variables of k values.

    Example:
        >>> ESTIMATORS["direct"].class_name, "epsilon" in ESTIMATORS["exact"].uses
        ('Direct', False)
    """

    class_name: str
    uses: dict[str, str]
    anneals: str | None = None
    coupled: tuple[str, ...] = ()
    independent: bool = True
    binary: bool = False
    temperature: float = 1.0
    parts: dict[str, str] = field(default_factory=dict)

    @property
    def cls(self) -> type[Estimator]:
        """The class, imported now."""
        found: type[Estimator] = __getattr__(self.class_name)
        return found

    def make(self, settings: dict[str, Any], num_variables: int, num_values: int) -> Estimator:
        """The estimator with some settings, by the names in `uses`, others as they are by default.

        Args:
            settings: values or schedules.
            num_variables: n, for an estimator with networks of its own.
            num_values: k, likewise.

        Example:
            >>> ESTIMATORS["exact"].make({"epsilon": 0.1}, 1, 10)
            Exact(max_states=65536)
        """
        arguments = {
            self.uses[name]: value for name, value in settings.items() if name in self.uses
        }
        for argument, part in self.parts.items():
            arguments[argument] = __getattr__(part)(num_variables, num_values)
        return self.cls(**arguments)


ESTIMATORS: dict[str, Declaration] = {
    "direct": Declaration("Direct", _STEP | _MEAN, anneals="epsilon", coupled=_BOTH),
    "exact": Declaration("Exact", {}, coupled=_BOTH),
    "gumbel-softmax": Declaration(
        "GumbelSoftmax", _RELAXED | {"straight_through": "straight_through"}, anneals="temperature"
    ),
    "local-expectation": Declaration("LocalExpectation", _DRAWS),
    "clamped-argmax": Declaration("ClampedArgmax", _DRAWS, coupled=("unary",), independent=False),
    "corrected-direct": Declaration("CorrectedDirect", _STEP, anneals="epsilon"),
    "score-function": Declaration(
        "ScoreFunction", _DRAWS | {"baseline": "baseline"}, coupled=("states",)
    ),
    "rebar": Declaration("Rebar", _RELAXED, temperature=0.5),
    "relax": Declaration("Relax", _RELAXED, temperature=0.5, parts={"surrogate": "Surrogate"}),
    "arm": Declaration("Arm", _DRAWS, binary=True),
    "disarm": Declaration("DisArm", _DRAWS, binary=True),
    "straight-through": Declaration("StraightThrough", _RELAXED, anneals="temperature"),
    "reinmax": Declaration("ReinMax", _RELAXED),
    "gumbel-rao": Declaration("GumbelRao", _RELAXED, anneals="temperature", temperature=0.5),
    "implicit-mle": Declaration("ImplicitMLE", _STEP | _MEAN, anneals="epsilon", coupled=_BOTH),
}
"""Every estimator by its name on the command line."""
