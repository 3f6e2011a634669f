"""The choice of the next token from a model's logits.

    p_i ∝ exp(z_i / T)      T the temperature: 0 takes the best alone, 1 the model's own distribution
    top-k                   of the k most probable only
    top-p                   of the fewest most probable whose probabilities reach p together

Source: Fan et al. 2018 (arXiv:1805.04833), section 5.1, for top-k; Holtzman et al. 2020 (arXiv:1904.09751), section
3.1, for top-p. Temperature, top-k and top-p are applied in this order, as transformers does.
"""

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from statespace.errors import InputError


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen.

    Args:
        temperature: divides the logits; 0 takes the most probable token.
        top_k: choose among that many of the most probable; None for all.
        top_p: choose among the fewest whose probabilities reach this sum, in (0, 1]; None for all.
    Raises:
        InputError: an argument is out of range, or `top_k` or `top_p` is given where nothing is drawn.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.temperature, int | float) or not 0 <= self.temperature < inf:
            raise InputError(
                f"generate: temperature is {self.temperature!r}, but a finite number from 0 on is expected: 0 takes "
                "the most probable token, 1 draws from the model's own distribution."
            )
        if self.top_k is not None and not (isinstance(self.top_k, int) and self.top_k >= 1):
            raise InputError(f"generate: top_k is {self.top_k!r}, but at least 1 token is needed to choose from.")
        if self.top_p is not None and not (isinstance(self.top_p, int | float) and 0 < self.top_p <= 1):
            raise InputError(f"generate: top_p is {self.top_p!r}, but a probability in (0, 1] is expected.")
        if self.temperature == 0 and not (self.top_k is None and self.top_p is None):
            raise InputError(
                "generate: top_k or top_p is given, but temperature is 0, which takes the most probable token alone: "
                "pass temperature=1.0 to draw."
            )

    def admitted(self, logits: Tensor) -> Tensor:
        """Return the logits divided by the temperature, with ``-inf`` where a token may not be chosen.

        Args:
            logits: ``(b, v)``.
        Returns:
            ``(b, v)``, float32 at least.
        """
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        logits = (logits - logits.amax(-1, keepdim=True)) / self.temperature  # a small temperature cannot overflow
        if self.top_k is not None:
            worst = logits.topk(min(self.top_k, logits.shape[-1])).values[..., -1:]
            logits = logits.masked_fill(logits < worst, -inf)
        if self.top_p is not None and self.top_p < 1:
            ordered, order = logits.sort(descending=True)
            probability = ordered.softmax(-1)
            reached = probability.cumsum(-1) - probability >= self.top_p  # by the tokens before; never by none
            logits = logits.masked_fill(reached.scatter(-1, order, reached), -inf)
        return logits

    def choose(self, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Choose a token for each row.

        Args:
            logits: ``(b, v)``.
            generator: where chance comes from; None for torch's own.
        Returns:
            Tokens, ``(b,)``.
        """
        if self.temperature == 0:
            return logits.argmax(-1)
        return torch.multinomial(self.admitted(logits).softmax(-1), 1, generator=generator)[:, 0]
