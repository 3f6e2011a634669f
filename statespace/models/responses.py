"""Features of whole signals without training: how much of the time the responses of random systems are high.

    x'_k = A_k x_k + B (m_k · u),    y_k = Re(C_k x_k) + D_k (m_k · u),        k = 1 … systems
    feature_kq = share of the signal's time in which  y_k > threshold_kq

and, if asked for, of contests between systems of nearly the same pitch, compared in units of their size s_k,

    won_k  = share of the time in which  y_k / s_k  is the largest of its group,
    lost_k = share of the time in which  y_k / s_k  is the smallest,                  as far as |y_k / s_k| > 1e-3

over the whole signal and, if asked for, over each of its equal parts as well, which tells when: of the samples that
were observed, each part holds as many.

Each system has a few damped oscillations with random time constants, frequencies and phases, and looks at a random
mixture m_k of the channels. Within its time constant an oscillation goes round twice at most; with ``sharp=True`` up
to 32 times, and tells one note from the next. Its feedthrough D makes its answer to a constant settle at zero, so that
it sees changes and not levels, but for the step with which a signal begins; with ``levels=True`` there is no D, and it
sees both. Half of the systems run against time, unless all have to be causal. The thresholds are quantiles of responses
to training signals. With enough systems, a linear classifier on these shares does the rest.

Since the systems are continuous, and between two samples the signal is taken to go along a line, features of one signal
sampled at two rates are nearly the same, as far as both rates have it: see `dt_scale`.

Source: Dempster, Petitjean, Webb 2020 (ROCKET, arXiv:1910.13051), for random convolutions and shares of positive
values; Dempster, Schmidt, Webb 2021 (MiniROCKET, arXiv:2012.08791), for thresholds from quantiles of responses;
Dempster, Schmidt, Webb 2023 (Hydra, arXiv:2203.13652), section 3, for counting which kernel of a group answers most.
Where we deviate: a kernel is not nine weights with a dilation but the impulse response of a random continuous system,
of a few numbers, run as a scan at a cost that does not depend on how far it remembers; and what is counted are samples,
at the top and at the bottom alike, of responses in units of their size.
"""

from collections.abc import Iterable, Iterator, Sequence
from math import log, pi
from typing import NamedTuple

import torch
from torch import Tensor, nn

from statespace.errors import InputError
from statespace.kernels.lti_scan import lti_scan
from statespace.shapes import expect

ORDER = 2  # oscillations in a system
QUIET = 1e-5  # of the signal times the gain: nearer to zero, a threshold would tell rounding from rounding
BLOCK = 2**22  # responses at a time: what the caches of a core hold several times over is slower
MEMBERS = 8  # systems in a group
FAINT = 1e-3  # of its size: below, a response wins no contest, since rounding would be told from rounding

_LOOKED_AT = 32  # training signals that thresholds are taken from, at most
_CYCLES = (0.05, 2.0)  # of an oscillation, in its time constant
_SHARP_CYCLES = (2.0, 32.0)


class Systems(NamedTuple):
    """Some of the systems at one sampling rate, discretised for inputs that go along a line from sample to sample.

    Attributes:
        mix: of the channels, ``(k, channels)``.
        log_a: exponent of one step, ``(k, n)``.
        b: input vectors, ``(k, n)``.
        c: output vectors, ``(k, n)``.
        D: feedthrough, ``(k,)``.
        thresholds: ``(k, q)``.
        size: of the responses, ``(k,)``.
    """

    mix: Tensor
    log_a: Tensor
    b: Tensor
    c: Tensor
    D: Tensor
    thresholds: Tensor
    size: Tensor

    def initial_state(self) -> tuple[Tensor, Tensor]:
        """Return what is carried before the first sample: the states, and the sample before."""
        return self.log_a.new_zeros(1, *self.log_a.shape), self.D.new_zeros(1, len(self.D))

    def respond(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the responses ``(l, k)`` to samples ``(l, channels)``, and what is carried on."""
        states, before = state
        u = x @ self.mix.T
        y, states = lti_scan(torch.cat([before, u[:-1]])[None], self.log_a, self.b, self.c, None, states)
        return y[0].addcmul_(u, self.D), (states, u[-1:])


class Block(NamedTuple):
    """Systems of one direction, few enough for the caches.

    Attributes:
        rows: their numbers, ``(k,)``: the first of each group, then the second of each, and so on.
        against: whether they run against time.
        members: systems in a group; 0 where there are no contests.
        systems: the systems.
    """

    rows: Tensor
    against: bool
    members: int
    systems: Systems

    def held(self, y: Tensor) -> Iterator[Tensor]:
        """Give for each kind of feature when it held, of responses ``(l, k)``: ones and zeros in one buffer for all."""
        held = torch.empty_like(y)  # memory would take longer than comparing
        for level in self.systems.thresholds.T.contiguous():  # every fourth number would take 50 times as long
            yield torch.gt(y, level, out=held)
        if self.members:
            sized = (y / self.systems.size).unflatten(1, (self.members, -1))
            for best in (sized.amax(1, keepdim=True), sized.amin(1, keepdim=True)):
                torch.eq(sized, best, out=held.view_as(sized)).mul_(best.abs() > FAINT)
                yield held

    def shares(self, y: Tensor, weights: Tensor) -> Tensor:
        """Return shares ``(p, k, features)`` of rows of `y` ``(l, k)`` by weights ``(p, l)``."""
        return torch.stack([weights @ held for held in self.held(y)], -1)


class ResponseFeatures(nn.Module):
    """Shares of time in which responses of random systems lie above thresholds; see the module.

    Args:
        channels: number of channels of the signals.
        span: the longest time constant, in samples of the signals that it is fitted on.
        systems: number of systems.
        thresholds: number of thresholds of each.
        causal: whether no system runs against time.
        seed: of the random systems.
        parts: into how many equal parts a signal is divided, over each of which shares are taken as over the whole;
            several numbers for several divisions.
        levels: whether the systems see levels.
        contests: whether systems compete, in groups of eight of one direction.
        sharp: whether the systems ring for many cycles, as many as the longest time constant has room for.
    Raises:
        InputError: an argument is out of range.
    """

    mix: Tensor
    A: Tensor
    C: Tensor
    D: Tensor
    backwards: Tensor
    thresholds: Tensor
    size: Tensor

    def __init__(
        self,
        channels: int,
        span: float,
        systems: int = 1000,
        thresholds: int = 4,
        causal: bool = False,
        seed: int = 0,
        parts: Sequence[int] = (),
        levels: bool = False,
        contests: bool = False,
        sharp: bool = False,
    ) -> None:
        super().__init__()
        sizes = {"channels": channels, "systems": systems, "thresholds": thresholds}
        if not isinstance(parts, Sequence) or not all(isinstance(count, int) for count in parts):
            raise InputError(f"ResponseFeatures: parts is {parts!r}, but whole numbers such as (4,) are expected.")
        sizes |= {f"parts[{number}]": count for number, count in enumerate(parts)}
        for name, value in sizes.items():
            if value < 1:
                raise InputError(f"ResponseFeatures: {name} is {value}, but at least 1 is expected.")
        if not 0 < span < float("inf"):
            raise InputError(f"ResponseFeatures: span is {span}, but a positive number of samples is expected.")
        rng = torch.Generator().manual_seed(seed)

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return low + (high - low) * torch.rand(*shape, generator=rng, dtype=torch.float64)

        share, longest = uniform(0, 1, systems, ORDER), log(max(span, 1.0))
        if sharp:
            cycles = torch.exp(uniform(log(_SHARP_CYCLES[0]), log(_SHARP_CYCLES[1]), systems, ORDER))
            shortest = (2 * cycles).log().clamp(max=longest)  # in which so many cycles have two samples each
        else:
            cycles, shortest = uniform(*_CYCLES, systems, ORDER), torch.tensor(log(0.5))
        tau = torch.exp(shortest + (longest - shortest) * share)
        omega = (2 * pi * cycles / tau).clamp(max=pi)
        A = torch.complex(-1 / tau, omega)
        A = A[A.imag.amax(1).argsort()]  # of nearly the same pitch are those of a group, which differ in all else
        C = torch.polar(
            torch.randn(systems, ORDER, generator=rng, dtype=torch.float64).abs(), uniform(0, 2 * pi, systems, ORDER)
        )
        level = (-C / A).real.sum(-1)  # the answer to a constant of one
        mix = torch.randn(systems, channels, generator=rng, dtype=torch.float64)
        kept = torch.rand(systems, channels, generator=rng) < max(0.3, 1.5 / channels)
        kept[torch.arange(systems), torch.randint(0, channels, (systems,), generator=rng)] = True
        groups = torch.arange(systems) // MEMBERS
        backwards = (torch.rand(int(groups[-1]) + 1, generator=rng) < (0.0 if causal else 0.5))[groups]
        self.parts = tuple(parts)
        self.contests = contests
        self.register_buffer("A", A)
        self.register_buffer("C", C)
        self.register_buffer("D", 0 * level if levels else -level)
        self.register_buffer("mix", (mix * kept).float())
        self.register_buffer("backwards", backwards)
        self.register_buffer("thresholds", torch.zeros(systems, thresholds))
        self.register_buffer("size", torch.ones(systems))

    @property
    def kinds(self) -> int:
        """Number of features of a system, in the whole or in a part: thresholds, and won and lost."""
        return self.thresholds.shape[1] + 2 * self.contests

    @property
    def features(self) -> int:
        """Number of features: of each kind for each system, of the whole and then of each part."""
        return (1 + sum(self.parts)) * len(self.A) * self.kinds

    def systems(self, rows: Tensor, dt_scale: float) -> Systems:
        """Return the systems of these numbers, discretised by first-order hold.

        With ``z = A Δ``, ``Γ₁ = (e^z - 1) / A`` and ``Γ₂ = (e^z - 1 - z) / (A² Δ)``: b = Γ₁ + (e^z - 1) Γ₂ for the
        sample before, and the feedthrough is D + Re(C Γ₂).

        Args:
            rows: numbers of the systems.
            dt_scale: time between two samples, Δ.
        Returns:
            The systems.
        """
        A, C = self.A[rows], self.C[rows]
        z = A * dt_scale
        rise = torch.expm1(z)
        ramp = (rise - z) / (A * z)
        return Systems(
            self.mix[rows],
            z.to(torch.complex64),
            (rise / A + rise * ramp).to(torch.complex64),
            C.to(torch.complex64),
            (self.D[rows] + (C * ramp).real.sum(-1)).float(),
            self.thresholds[rows],
            self.size[rows],
        )

    def blocks(self, length: int, dt_scale: float = 1.0) -> list[Block]:
        """Return all systems in blocks for signals of this length, in samples; no group is in two of them."""
        found = []
        whole = len(self.A) // MEMBERS * MEMBERS
        at_once = max(2, min(len(self.A), BLOCK // max(length, 1)) // MEMBERS)
        for against in (False, True):
            groups = torch.nonzero(self.backwards[:whole:MEMBERS] == against)[:, 0]
            each = [
                (first * MEMBERS + torch.arange(MEMBERS)[:, None]).flatten()
                for first in groups.split(at_once)
                if len(first)
            ]
            if whole < len(self.A) and bool(self.backwards[-1]) == against:  # a last group of fewer
                each.append(torch.arange(whole, len(self.A)))
            for rows in each:
                members = min(MEMBERS, len(rows)) if self.contests else 0
                found.append(Block(rows, against, members, self.systems(rows, dt_scale)))
        return found

    def fit_thresholds(self, x: Tensor, lengths: Tensor, seed: int = 0) -> "ResponseFeatures":
        """Take thresholds from responses to training signals: random quantiles, of a random signal for each system.

        Args:
            x: signals, ``(b, l, channels)``.
            lengths: samples that count in each, ``(b,)``, int64.
            seed: of the choice.
        Returns:
            Itself.
        """
        self._check(x, lengths)
        chosen = (x[row, : lengths[row]] for row in threshold_signals(len(x), seed))
        return self.fit_thresholds_to(chosen, len(x), seed)

    @torch.no_grad()
    def fit_thresholds_to(self, signals: Iterable[Tensor], count: int, seed: int = 0) -> "ResponseFeatures":
        """Take thresholds as `fit_thresholds`, from signals that come one after another.

        Args:
            signals: those that `threshold_signals` chose, in its order, ``(l, channels)`` each.
            count: of how many.
            seed: of the choice.
        Returns:
            Itself.
        """
        rng = torch.Generator().manual_seed(seed)
        looked_at = len(torch.randperm(count, generator=rng)[:_LOOKED_AT])
        chosen = torch.randint(0, looked_at, self.thresholds.shape, generator=rng)
        levels = torch.rand(self.thresholds.shape, generator=rng)
        gain = (self.C / self.A).abs().sum(-1).float()
        squares, of_input = torch.zeros(2, len(self.A), dtype=torch.float64)
        samples = 0
        for place, u in enumerate(signals):
            if len(u) == 0:
                continue
            samples += len(u)
            for block in self.blocks(len(u)):
                rows, systems = block.rows, block.systems
                y, _ = systems.respond(u.flip(0) if block.against else u, systems.initial_state())
                loud = (u @ systems.mix.T).square().sum(0)
                squares[rows] += y.square().sum(0)
                of_input[rows] += loud
                wanted = torch.nonzero((chosen[rows] == place).any(-1))[:, 0]
                ordered = y[:, wanted].sort(0).values
                quiet = QUIET * gain[rows[wanted]] * (loud[wanted] / len(u)).sqrt()
                for k, row in enumerate(rows[wanted]):
                    for q in torch.nonzero(chosen[row] == place)[:, 0]:
                        # In the middle between two responses: on one of them, rounding would say which side it is.
                        below = int(levels[row, q] * (len(u) - 1))
                        level = ordered[below : below + 2, k].mean()
                        self.thresholds[row, q] = level if level.abs() > quiet[k] else quiet[k]
        size, least = (squares / max(samples, 1)).sqrt(), QUIET * gain * (of_input / max(samples, 1)).sqrt()
        self.size.copy_(torch.where(size > least, size, torch.inf))  # what is infinite wins nothing
        return self

    def _check(self, x: Tensor, lengths: Tensor) -> None:
        sizes = {"channels": self.mix.shape[1]}
        expect("ResponseFeatures", "x", x, "b l channels", sizes, "Signals are (batch, length, channels).")
        expect("ResponseFeatures", "lengths", lengths, "b", sizes)

    @torch.no_grad()
    def forward(self, x: Tensor, lengths: Tensor, dt_scale: float = 1.0, observed: Tensor | None = None) -> Tensor:
        """Return the features of whole signals.

        Args:
            x: signals, ``(b, l, channels)``, float32.
            lengths: samples that count in each, ``(b,)``, int64.
            dt_scale: time between two samples, in units of that of the signals it was fitted on.
            observed: false at samples whose share is not counted, ``(b, l)``; ``None``: all are.
        Returns:
            Shares in [0, 1], ``(b, features)``, float32; zero for a signal without samples.
        Raises:
            ShapeError: `x` or `lengths` does not have the shape named here.
            InputError: `dt_scale` is not a positive number.
        """
        self._check(x, lengths)
        if not 0 < dt_scale < float("inf"):
            raise InputError(f"ResponseFeatures: dt_scale is {dt_scale}, but a positive number is expected.")
        shares = x.new_zeros(len(x), 1 + sum(self.parts), len(self.A), self.kinds)
        for block in self.blocks(x.shape[1], dt_scale):
            for signal, length in enumerate(lengths.tolist()):
                if length == 0:
                    continue
                u = x[signal, :length]
                weights = self._weights(u.new_ones(length) if observed is None else observed[signal, :length].float())
                if block.against:
                    u, weights = u.flip(0), weights.flip(1)
                y, _ = block.systems.respond(u, block.systems.initial_state())
                shares[signal, :, block.rows] = block.shares(y, weights)
        return shares.flatten(1)

    @torch.no_grad()
    def over_time(
        self,
        x: Tensor,
        lengths: Tensor,
        worth: Tensor,
        means: Tensor,
        dt_scale: float = 1.0,
        observed: Tensor | None = None,
    ) -> Tensor:
        """Return how much each sample brings to a weighted sum of features,  Σ_f worth_f (feature_f - mean_f).

        A share is a sum over samples, so the weighted sum is one as well:  Σ_t Σ_f worth_f ([y_f(t) > threshold_f] -
        mean_f) / n.  A response is put where it is high, which is after what it answers, or before for a system that
        runs against time, by up to its time constant.

        Args:
            x: signals, ``(b, l, channels)``, float32.
            lengths: samples that count in each, ``(b,)``, int64.
            worth: of each feature, for each signal, ``(b, features)``.
            means: that features are compared with, ``(features,)``.
            dt_scale: as in `forward`.
            observed: as in `forward`.
        Returns:
            ``(b, l)``, zero beyond the end and where nothing was measured; over time it sums to the weighted sum.
        """
        self._check(x, lengths)
        shape = (-1, len(self.A), self.kinds)  # parts, systems, kinds
        found = torch.zeros(x.shape[:2], dtype=torch.float64)  # what speaks for and against nearly cancels
        for signal, length in enumerate(lengths.tolist()):
            u = x[signal, :length]
            counts = torch.ones(length) if observed is None else observed[signal, :length]
            weights, value = self._weights(counts.double()), worth[signal].double().view(shape)
            level = (value * means.double().view(shape)).sum((1, 2))
            found[signal, :length] -= level @ weights
            for block in self.blocks(length, dt_scale):
                y, _ = block.systems.respond(u.flip(0) if block.against else u, block.systems.initial_state())
                brought = torch.zeros(len(weights), length, dtype=torch.float64)
                for kind, held in enumerate(block.held(y)):
                    brought += value[:, block.rows, kind] @ held.double().T
                found[signal, :length] += (weights * (brought.flip(1) if block.against else brought)).sum(0)
        return found.float()

    def _weights(self, counts: Tensor) -> Tensor:
        """Return the weight of each sample in the whole and in each part, ``(1 + parts, l)``, from counts."""
        weights = [counts[None]]
        before = counts.double().cumsum(0) - counts
        for parts in self.parts:
            part = (before * parts / counts.double().sum()).floor().clamp(max=parts - 1)
            weights.append(counts * (part == torch.arange(parts)[:, None]))
        stacked = torch.cat(weights)
        return stacked / stacked.sum(1, keepdim=True).clamp(min=1)


def threshold_signals(count: int, seed: int) -> Tensor:
    """Return the numbers of the signals, out of so many, that `ResponseFeatures` takes its thresholds from."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:_LOOKED_AT]
