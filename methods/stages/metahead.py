"""v, the validation gradient that joint training learns its weights from, and the head it passes through."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from methods.hypergradient.functional import as_function, device_of, gradient_and_value
from methods.hypergradient.precision import full_precision
from methods.settings import MetaSettings
from methods.stages.common import check_finite
from tasks.problem import Problem, Source
from tasks.randomness import generator

RATE, DECAY, BETAS = 1e-3, 0.1, (0.9, 0.98)  # AdamW of the meta head (TARTAN's released code)
TOLERANCE = 1e-3  # stop when the loss of the sample changes by less


class ValidationGradient:
    """Gradients of the end task's loss on validation batches, with respect to the encoder's parameters B alone.

    Parameters
    ----------
    validation: the source of the batches; "val-null" is the control. A meta head that learns from the
        dev split learns from the same source.
    """

    def __init__(self, problem: Problem, settings: MetaSettings, validation: Source, stage: str) -> None:
        self.problem, self.settings, self.stage = problem, settings, stage
        self.batches = problem.stream(validation, settings.validation_batch, "validation gradient")
        source: Source = "train" if settings.meta_head_split == "train" else validation
        self.samples = problem.stream(source, settings.meta_batch, "meta head")

    def here(self, encoder: nn.Module, head: nn.Module, step: int) -> Tensor:
        """Return v at the present encoder, shape (|B|,), through a fresh meta head or, if shared, through ``head``."""
        through = self.meta_head(encoder, step) if self.settings.meta_head == "separate" else head
        return self._gradient(encoder, through, step)

    def ahead(self, encoder: nn.Module, head: nn.Module, step: int, shift: Tensor) -> Tensor:
        """Return v at the encoder moved by ``shift``, shape (|B|,), through ``head`` as it is."""
        return self._gradient(encoder, head, step, shift)

    def meta_head(self, encoder: nn.Module, step: int) -> nn.Module:
        """Return a fresh head, trained on one sample under the frozen encoder for at most ``meta_steps`` steps.

        The features of the sample are computed once, so dropout in the encoder has one mask for all
        steps; the released code draws a new one for each. The entries of each initial tensor are
        shuffled by (seed, step): the problem's fresh head is the one that the body's own started from.
        """
        sample, draws = self.samples.batch(step), generator(self.problem.spec.seed, "meta head", step)
        function, parameters = as_function(encoder, nn.Identity(), lambda e, _: self.problem.features(e, sample))
        head = self.problem.downstream_head().train()
        with torch.no_grad(), full_precision(self.problem.device):
            features = function(parameters)
            for parameter in head.parameters():
                order = torch.randperm(parameter.numel(), generator=draws).to(parameter.device)
                parameter.copy_(parameter.reshape(-1)[order].view_as(parameter))
        optimiser = torch.optim.AdamW(head.parameters(), lr=RATE, betas=BETAS, weight_decay=DECAY)
        before = float("inf")
        for _ in range(self.settings.meta_steps):
            loss = self.problem.outputs_loss(head(features), sample)
            value = loss.item()
            if abs(before - value) < TOLERANCE:
                break
            before = value
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        return head

    def _gradient(self, encoder: nn.Module, head: nn.Module, step: int, shift: Tensor | None = None) -> Tensor:
        batch = self.batches.batch(step)
        function, point = as_function(encoder, head, lambda e, h: self.problem.downstream_loss(e, h, batch))
        names = [f"encoder.{name}" for name, parameter in encoder.named_parameters() if parameter.requires_grad]
        body = {name: point[name] for name in names}
        if shift is not None:
            parts = shift.split([value.numel() for value in body.values()])
            body = {name: body[name] + part.view_as(body[name]) for name, part in zip(names, parts, strict=True)}
        with full_precision(device_of(body)):
            gradient, value = gradient_and_value(function, body)
        check_finite(value[None], ["validation"], self.stage, step)
        return torch.cat([gradient[name].reshape(-1) for name in names])
