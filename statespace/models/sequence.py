"""A model for tasks over sequences: tokens or samples in, a backbone, and an answer at each position or one for all.

    h = Embed(x)  or  W x + b,      y = W_out Backbone(h) + b_out

`pooling` decides where the head stands: at each position (``"none"``), after the last sample (``"last"``), or over the
mean of all positions, each as much as the other (``"mean"``) or by a weight that is learnt (``"attention"``):

    h = Σ_t softmax_t(w · h_t) h_t

The mean is carried in the state, so that chunks give what the whole gives, and a stream the answer so far.
"""

import torch
from torch import Tensor, nn

from statespace.errors import InputError, at_least, choose
from statespace.kernels.stack_step import Program
from statespace.layers import State
from statespace.layers.base import multiplies, no_state, other_type
from statespace.models.backbone import Backbone
from statespace.models.program import program_of
from statespace.models.running_mean import RunningMean
from statespace.models.stream import StreamedModel
from statespace.shapes import expect

POOLINGS = ("none", "last", "mean", "attention")


class SequenceModel(StreamedModel):
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
        at_least("SequenceModel", 1, inputs=inputs, outputs=outputs)
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
        dt: Tensor | None = None,
        dt_scale: float = 1.0,
        observed: Tensor | None = None,
    ) -> tuple[Tensor, list[State]]:
        """Answer whole sequences.

        Args:
            x: tokens ``(b, l)``, integers in [0, `inputs`), or samples ``(b, l, inputs)``.
            state: state before the first position, from an earlier call; ``None`` is the zero state.
            lengths: positions that count in each sequence, ``(b,)``; ``None``: all.
            dt: time since the position before, ``(b, l)``, as `Backbone` takes it.
            dt_scale: a factor on it.
            observed: zero at positions that were not measured, ``(b, l)``; ``None``: all were.
        Returns:
            The answers, ``(b, l, outputs)``, or ``(b, outputs)`` with pooling, and the state after the last position.
            The mean is that of all positions since the zero state, those of earlier calls too.
        Raises:
            ShapeError: `x`, `lengths` or `dt` does not have the shape named here.
            InputError: a token is not in the vocabulary, the state is of another model, there is nothing to pool, or
                `dt` or `dt_scale` is out of range.
        """
        where = "SequenceModel"
        x = self._check(where, x, "b l" if self.tokens else "b l inputs")
        before, mean = self._parts(where, state, len(x))
        h, after = self.backbone(self.into(x), before, lengths, dt, dt_scale, observed)
        if self.pooling != "none":
            counted = None if lengths is None else self.backbone.output_lengths(lengths)
            if h.shape[1] == 0 or (counted is not None and int(counted.min()) < 1):
                raise InputError(f"{where}: a sequence without positions has nothing to pool: leave it out.")
            if self.attention is not None:
                h = self._attended(self.attention(h)[..., 0], h, counted)
            elif mean is not None:
                mean = mean.after(h, counted)
                h, after = mean.mean.to(h.dtype), [*after, tuple(mean)]
            else:
                h = h[:, -1] if counted is None else h[torch.arange(len(h), device=h.device), counted - 1]
        y: Tensor = self.head(h)
        return y, after

    def outputs_of(
        self, x: Tensor, state: list[State], dt: Tensor | None = None, dt_scale: float = 1.0
    ) -> tuple[Tensor, list[State]]:
        """Answer at each position, ``(b, l, outputs)``: with pooling, the answer for the sequence up to there."""
        where = "SequenceModel"
        x = self._check(where, x, "b l" if self.tokens else "b l inputs")
        before, mean = self._parts(where, state, len(x))
        h, after = self.backbone(self.into(x), before, None, dt, dt_scale)
        if mean is not None:
            means, mean = mean.at_each(h)
            h, after = means.to(h.dtype), [*after, tuple(mean)]
        y: Tensor = self.head(h)
        return y, after

    def step(
        self, x: Tensor, state: list[State], dt: Tensor | None = None, dt_scale: float = 1.0
    ) -> tuple[Tensor, list[State]]:
        """Take one position of each sequence.

        Args:
            x: tokens ``(b,)`` or samples ``(b, inputs)``.
            state: state before it; it is left as it is.
            dt: time since the position before, ``(b,)``.
            dt_scale: a factor on it.
        Returns:
            The answers ``(b, outputs)``, with pooling those for the sequences up to here, and the state.
        Raises:
            ShapeError: `x` or `dt` does not have the shape named here.
            InputError: as `forward`.
        """
        where = "SequenceModel.step"
        x = self._check(where, x, "b" if self.tokens else "b inputs")
        before, mean = self._parts(where, state, len(x))
        if before is None:
            raise no_state(where)
        h, after = self.backbone.step(self.into(x), before, dt, dt_scale)
        if mean is not None:
            mean = mean.step(h, self.backbone.is_new(after))
            h, after = mean.mean.to(h.dtype), [*after, tuple(mean)]
        y: Tensor = self.head(h)
        return y, after

    def initial_state(self, batch: int) -> list[State]:
        """Return the state of the backbone before any position, and the mean over nothing where it is carried."""
        state = self.backbone.initial_state(batch)
        return [*state, tuple(self._no_mean(batch))] if self.pooling == "mean" else state

    def token_embedding(self) -> nn.Embedding | None:
        """Return the embedding, or None where the inputs are samples."""
        return self.into if isinstance(self.into, nn.Embedding) else None

    def program(self, dt_scale: float = 1.0) -> Program | str:
        """Return one step from the embedded token, or from the sample, to the answer; see `StreamedModel.program`."""
        if self.pooling in ("mean", "attention"):
            return f"there is no compiled form of pooling={self.pooling!r}."
        into = None if isinstance(self.into, nn.Embedding) else (self.into.weight, self.into.bias)
        head = (self.head.weight, self.head.bias)
        return program_of(self.backbone.blocks, self.backbone.norm, dt_scale, into, head)

    def _no_mean(self, batch: int) -> RunningMean:
        return RunningMean.initial(self.head.weight.new_zeros(batch, self.backbone.d_model))

    def _parts(
        self, where: str, state: list[State] | None, batch: int
    ) -> tuple[list[State] | None, RunningMean | None]:
        """Return the backbone's part of the state, and the running mean, if one is carried."""
        if self.attention is not None and state is not None:
            raise InputError(
                f"{where}: pooling='attention' weighs all positions against each other, so nothing can be carried from "
                "call to call: pass whole sequences to forward, or take pooling='mean'."
            )
        if self.pooling != "mean":
            return state, None
        if state is None:
            return None, self._no_mean(batch)
        *before, mean = state
        if not isinstance(mean, tuple) or [tuple(part.shape) for part in mean] != [
            (batch, self.backbone.d_model),
            (batch,),
        ]:
            raise InputError(
                f"{where}: state does not end with the running mean of {batch} sequences: pass what initial_state or "
                "an earlier call of this model gave."
            )
        return before, RunningMean(*mean)

    def _check(self, where: str, x: Tensor, axes: str) -> Tensor:
        """Return the samples as they are, and tokens as int64."""
        if not self.tokens:
            hint = "Samples are (batch, length, inputs), and for a step (batch, inputs)."
            expect(where, "x", x, axes, {"inputs": self.inputs}, hint)
            if not multiplies(x, self.into.weight):
                raise other_type(where, x, self.into.weight)
            return x
        expect(where, "x", x, axes, {}, "Tokens are (batch, length), and for a step (batch).")
        if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
            raise InputError(f"{where}: x is {x.dtype}, but tokens are whole numbers: pass x.long().")
        x = x.long()
        if x.numel():
            least, most = map(int, torch.aminmax(x))
            if least < 0 or most >= self.inputs:
                raise InputError(
                    f"{where}: tokens go from {least} to {most}, but the vocabulary is 0 to {self.inputs - 1}: "
                    "make inputs larger, or number the tokens anew."
                )
        return x

    def _attended(self, scores: Tensor, h: Tensor, counted: Tensor | None) -> Tensor:
        """Return the mean of `h` ``(b, l, d)`` by the softmax of `scores` ``(b, l)`` over the positions that count."""
        if counted is not None:
            beyond = torch.arange(h.shape[1], device=h.device) >= counted[:, None]
            scores = scores.masked_fill(beyond, -torch.inf)
        return (torch.softmax(scores, 1)[:, None] @ h)[:, 0]
