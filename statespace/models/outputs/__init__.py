"""What a forecasting network puts out for one step, and what it means: quantiles, or the numbers of a distribution."""

from statespace.models.outputs.base import Distribution, Output
from statespace.models.outputs.negative_binomial import NegativeBinomial
from statespace.models.outputs.normal import Normal
from statespace.models.outputs.quantile import Quantile
from statespace.models.outputs.student_t import StudentT
from statespace.models.outputs.tweedie import Tweedie

__all__ = ["OUTPUTS", "Distribution", "NegativeBinomial", "Normal", "Output", "Quantile", "StudentT", "Tweedie"]

OUTPUTS: dict[str, type[Output]] = {
    output.name: output for output in (Quantile, Normal, StudentT, NegativeBinomial, Tweedie)
}
"""Each output by the name under which estimators know it; made as ``OUTPUTS[name]()``."""
