"""Networks: tensors in, tensors out; no data frames and no training loops."""

from statespace.models.backbone import Backbone
from statespace.models.band_energies import BandEnergies
from statespace.models.export import export_sequence, export_step, to_onnx
from statespace.models.forecaster import Forecast, ForecastNetwork
from statespace.models.generation import TextGenerator
from statespace.models.history import History
from statespace.models.language import MambaLM
from statespace.models.linear import DLinear, NLinear
from statespace.models.outputs import OUTPUTS
from statespace.models.outputs.levels import QUANTILES
from statespace.models.responses import ResponseFeatures
from statespace.models.sequence import POOLINGS, SequenceModel
from statespace.models.stream import Stream, StreamedModel
from statespace.models.vocabulary import ByteVocabulary, SymbolVocabulary, Vocabulary

__all__ = [
    "OUTPUTS",
    "POOLINGS",
    "QUANTILES",
    "Backbone",
    "BandEnergies",
    "ByteVocabulary",
    "DLinear",
    "Forecast",
    "ForecastNetwork",
    "History",
    "MambaLM",
    "NLinear",
    "ResponseFeatures",
    "SequenceModel",
    "Stream",
    "StreamedModel",
    "SymbolVocabulary",
    "TextGenerator",
    "Vocabulary",
    "export_sequence",
    "export_step",
    "to_onnx",
]
