"""A model for tasks over sequences: tokens or samples in, a backbone, and an answer at each position or one for all.

    h = Embed(x)  or  W x + b,      y = W_out Backbone(h) + b_out

`pooling` decides where the head stands: at each position (``"none"``), after the last sample (``"last"``), or over the
mean of all positions, each as much as the other (``"mean"``) or by a weight that is learnt (``"attention"``):

    h = Σ_t softmax_t(w · h_t) h_t
"""

import torch
from torch import Tensor, nn

from statespace.errors import InputError, choose
from statespace.layers import State
from statespace.models.backbone import Backbone
from statespace.shapes import expect

POOLINGS = ("none", "last", "mean", "attention")


class SequenceModel(nn.Module):
    """Embed, run the backbone, and read out.

    Args:
        backbone: the trunk; its layers decide what the model can do.
        inputs: size of the vocabulary, or number of channels of the samples.
        outputs: number of classes, or of values.
        tokens: whether the inputs are tokens.
        pooling: ``"none"``, ``"last"``, ``"mean"`` or ``"attention"``.
    Raises:
        InputError: `inputs` or `outputs` is below 1, or `pooling` is not known.
    """

    def __init__(
        self, backbone: Backbone, inputs: int, outputs: int, tokens: bool = True, pooling: str = "none"
    ) -> None:
        super().__init__()
        for name, value in (("inputs", inputs), ("outputs", outputs)):
            if value < 1:
                raise InputError(f"SequenceModel: {name} is {value}, but at least 1 is expected.")
        self.inputs, self.outputs, self.tokens = inputs, outputs, tokens
        self.pooling = choose("SequenceModel", "pooling", pooling, POOLINGS)
        self.into = nn.Embedding(inputs, backbone.d_model) if tokens else nn.Linear(inputs, backbone.d_model)
        self.backbone = backbone
        self.attention = nn.Linear(backbone.d_model, 1) if self.pooling == "attention" else None
        self.head = nn.Linear(backbone.d_model, outputs)

    def forward(
        self,
        x: Tensor,
        state: list[State] | None = None,
        lengths: Tensor | None = None,
        dt_scale: float = 1.0,
        observed: Tensor | None = None,
    ) -> tuple[Tensor, list[State]]:
        """Answer whole sequences.

        Args:
            x: tokens ``(b, l)``, integers in [0, `inputs`), or samples ``(b, l, inputs)``.
            state: state before the first position, from an earlier call; ``None`` is the zero state.
            lengths: positions that count in each sequence, ``(b,)``; ``None``: all.
            dt_scale: time between two positions, in units of that of training.
            observed: zero at positions that were not measured, ``(b, l)``; ``None``: all were.
        Returns:
            The answers, ``(b, l, outputs)``, or ``(b, outputs)`` with pooling, and the state after the last position.
            The mean is that of the positions of this call.
        Raises:
            ShapeError: `x` does not have the shape named here.
            InputError: a token is not in the vocabulary, or there is nothing to pool.
        """
        self._check(x)
        h, state = self.backbone(self.into(x), state, lengths, dt_scale=dt_scale, observed=observed)
        if self.pooling != "none":
            h = self._pooled(h, None if lengths is None else self.backbone.output_lengths(lengths))
        y: Tensor = self.head(h)
        return y, state

    def _check(self, x: Tensor) -> None:
        if not self.tokens:
            expect(
                "SequenceModel", "x", x, "b l inputs", {"inputs": self.inputs}, "Samples are (batch, length, inputs)."
            )
            return
        expect("SequenceModel", "x", x, "b l", {}, "Tokens are (batch, length).")
        if x.is_floating_point() or x.is_complex():
            raise InputError(f"SequenceModel: x is {x.dtype}, but tokens are whole numbers: pass x.long().")
        if x.numel():
            least, most = map(int, torch.aminmax(x))
            if least < 0 or most >= self.inputs:
                raise InputError(
                    f"SequenceModel: tokens go from {least} to {most}, but the vocabulary is 0 to {self.inputs - 1}: "
                    "make inputs larger, or number the tokens anew."
                )

    def _pooled(self, h: Tensor, lengths: Tensor | None) -> Tensor:
        length = h.shape[1]
        if length == 0 or (lengths is not None and int(lengths.min()) < 1):
            raise InputError("SequenceModel: a sequence without positions has nothing to pool: leave it out.")
        if self.pooling == "last":
            return h[:, -1] if lengths is None else h[torch.arange(len(h), device=h.device), lengths - 1]
        counted = h.new_ones(h.shape[:2], dtype=torch.bool)
        if lengths is not None:
            counted = torch.arange(length, device=h.device) < lengths[:, None]
        if self.attention is not None:
            scores = self.attention(h)[..., 0].masked_fill(~counted, -torch.inf)
        else:
            scores = torch.where(counted, 0.0, -torch.inf).to(h.dtype)
        return (torch.softmax(scores, 1)[:, None] @ torch.where(counted[..., None], h, 0))[:, 0]
