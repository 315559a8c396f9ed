"""An encoder that goes through its batches in parts: less memory at a time, the effective batch as it was.

Activations of one part are held at a time. A part's graph is dropped after its forward pass and made again in the
backward pass: gradient checkpointing (Chen et al. 2016, arXiv 1604.06174) over examples instead of layers, at the price
of one more encoder pass. Heads and losses still see the features of the whole batch, as in gradient caching
(Gao et al. 2021, arXiv 2101.06983). So losses that compare examples, such as contrastive ones with negatives from the
batch, and means over those labels that exist, stay those of the whole batch, and no stage, rule or hypergradient
needs to know.

Two things differ from whole batches. Batch norm takes its statistics from a part ("ghost batch norm", Hoffer et al.
2017, arXiv 1705.08741); the running ones move once a batch, by the mean over its parts. Dropout draws other units.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from inspect import Parameter, signature
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from methods.hypergradient.replay import random_state, replayed
from tasks.problem import Problem

FEWEST = 2  # examples of a part: batch norm needs two

Call = Callable[..., tuple[Tensor, ...]]


def in_micro_batches(problem: Problem, count: int) -> Problem:
    """Return ``problem`` with encoders that go through each batch in ``count`` parts, or in as many as it allows."""
    if count == 1:
        return problem
    parted, encoder = copy.copy(problem), problem.encoder
    parted.encoder = lambda: _parted(encoder(), count)  # type: ignore[method-assign]
    return parted


def is_divisible(problem: Problem) -> bool:
    """Whether the encoders of ``problem`` read one tensor, with an example a row, or say how to cut what they read."""
    encoder = problem.encoder()
    read = [one for one in signature(encoder.forward).parameters.values() if one.default is Parameter.empty]
    return hasattr(encoder, "cut") or len(read) == 1


def _parted(encoder: nn.Module, count: int) -> nn.Module:
    """Give ``encoder`` a class of its own, so that its parameters and buffers keep their names."""
    kind = type(encoder)
    encoder.__class__ = type(kind.__name__, (_Parted, kind), {"count": count})
    return encoder


class _Parted(nn.Module):
    """What comes before an encoder's own class: the encoder in parts.

    An encoder that reads anything but one tensor with an example a row says by a method
    ``cut(count, *inputs)`` what the inputs of its parts are; its outputs are joined by rows.
    """

    count: ClassVar[int]

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the encoder's output for the whole batch."""
        parts = self._cut(inputs)
        if len(parts) <= 1:
            return self._whole(*inputs)
        buffers = dict(self.named_buffers())
        before = {name: buffer.clone() for name, buffer in buffers.items()}  # of every part
        outputs, moved = zip(*(self._pass(part, before) for part in parts), strict=True)
        with torch.no_grad():
            for name, buffer in buffers.items():
                if buffer.is_floating_point():  # by differences, so that what did not move stays to the bit
                    buffer += torch.stack([after[name] - before[name] for after in moved]).mean(dim=0)
                else:
                    buffer.copy_(moved[0][name])
        return torch.cat(outputs)

    def _whole(self, *inputs: Tensor) -> Tensor:
        output: Tensor = super().forward(*inputs)
        return output

    def _cut(self, inputs: tuple[Tensor, ...]) -> Sequence[tuple[Tensor, ...]]:
        if cut := getattr(self, "cut", None):
            return list(cut(self.count, *inputs))
        (rows,) = inputs
        return [(part,) for part in rows.tensor_split(max(1, min(self.count, len(rows) // FEWEST)))]

    def _pass(self, inputs: tuple[Tensor, ...], buffers: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the output for one part, and the buffers as it leaves them; those given stay."""
        module, parameters = _Whole(self), dict(self.named_parameters())
        tensors = (*parameters.values(), *buffers.values(), *inputs)
        names = [f"encoder.{name}" for name in (*parameters, *buffers)]
        device = next((tensor.device for tensor in tensors), torch.device("cpu"))
        state, kernels = random_state(device), _kernels()

        def first(*tensors: Tensor) -> tuple[Tensor, ...]:
            given = dict(zip(names, tensors, strict=False))
            held = {f"encoder.{name}": given[f"encoder.{name}"].clone() for name in buffers}
            with kernels():
                output = torch.func.functional_call(module, given | held, tensors[len(names) :])
            return output, *held.values()

        def again(*tensors: Tensor) -> tuple[Tensor, ...]:
            with replayed(state, device):
                return first(*tensors)[:1]

        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            output, *moved = _Recomputed.apply(1, first, again, *tensors)  # type: ignore[no-untyped-call]
        else:
            output, *moved = first(*tensors)
        return output, dict(zip(buffers, moved, strict=True))


class _Whole(nn.Module):
    """An encoder in one pass, as a module whose parameters a functional call can replace."""

    def __init__(self, encoder: _Parted) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.encoder._whole(*inputs)


class _Recomputed(torch.autograd.Function):
    """A function of tensors that keeps no graph: the backward pass calls it again.

    Its gradient is such a function too, so it has derivatives of any order, and works within ``torch.func``,
    where ``torch.utils.checkpoint`` does not.

    Called with the number of outputs that have derivatives, which come first; the function to call now; the one
    to call later, for these outputs alone; and the tensors, of which neither function may hold any.
    """

    @staticmethod
    def forward(outputs: int, first: Call, again: Call, *tensors: Tensor) -> tuple[Tensor, ...]:
        return first(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.outputs, _, ctx.again, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.mark_non_differentiable(*output[ctx.outputs :])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        again: Call = ctx.again
        count, needed = ctx.outputs, ctx.needs_input_grad[3:]
        wanted = [place for place, one in enumerate(needed) if one]

        def pulled(*given: Tensor) -> tuple[Tensor, ...]:
            tensors = list(given[count:])

            def of(*chosen: Tensor) -> tuple[Tensor, ...]:
                for place, tensor in zip(wanted, chosen, strict=True):
                    tensors[place] = tensor
                return again(*tensors)

            pull = torch.func.vjp(of, *(tensors[place] for place in wanted))[1]
            found: tuple[Tensor, ...] = pull(given[:count], retain_graph=False)  # it is freed on the way
            return found

        given = (*gradients[:count], *ctx.saved_tensors)
        found = iter(_Recomputed.apply(len(wanted), pulled, pulled, *given))  # type: ignore[no-untyped-call]
        return (None, None, None, *(next(found) if one else None for one in needed))


def _kernels() -> Callable[[], AbstractContextManager[Any]]:
    """What a part passes through with: within ``torch.func`` the kernels of attention that the backward pass needs.

    There it is one transform deeper, where fused kernels have no derivative, and those draw other dropout.
    """
    inside = torch._C._functorch.maybe_current_level()
    return (lambda: sdpa_kernel(SDPBackend.MATH)) if inside else nullcontext
