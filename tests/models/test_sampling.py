"""The choice of the next token: who may be chosen, as transformers has it, and how often, as the logits say."""

import os

import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"
pytest.importorskip("transformers")

from transformers.generation import logits_process

from statespace.models.sampling import Sampling


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("top_k", [None, 1, 7, 500])
@pytest.mark.parametrize("top_p", [None, 1e-6, 0.3, 0.9, 1.0])
def test_admitted_tokens_are_those_of_transformers(temperature, top_k, top_p) -> None:
    logits = 4 * torch.randn(5, 60)
    expected = logits_process.TemperatureLogitsWarper(temperature)(None, logits)
    if top_k is not None:
        expected = logits_process.TopKLogitsWarper(top_k)(None, expected)
    if top_p is not None:
        expected = logits_process.TopPLogitsWarper(top_p)(None, expected)
    found = Sampling(temperature, top_k, top_p).admitted(logits)
    assert torch.equal(found.isinf(), expected.isinf())
    torch.testing.assert_close(found.softmax(-1), expected.softmax(-1), rtol=1e-5, atol=0)


def test_tokens_come_as_often_as_their_probability_says() -> None:
    logits = torch.tensor([0.5, -1.0, 2.0, 0.0])
    drawn = Sampling(1.0).choose(logits.expand(40_000, 4), torch.Generator().manual_seed(0))
    shares = drawn.bincount(minlength=4) / len(drawn)
    torch.testing.assert_close(shares, logits.softmax(0), rtol=0, atol=0.01)  # four standard deviations
