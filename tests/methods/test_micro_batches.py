"""An encoder in parts gives what it gives in one pass, with one part in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from methods.hypergradient.backward import backward
from methods.hypergradient.forward import forward
from methods.hypergradient.functional import as_function
from methods.hypergradient.probe import Probe, validation_gradient
from methods.settings import ContinuedSettings, FinetuneSettings
from methods.stage import Stage, StageResult
from methods.stages.bilevel import BiLevel
from methods.stages.continued import Continued
from methods.stages.finetune import FineTune
from methods.stages.micro_batches import in_micro_batches, is_divisible
from methods.stages.search import Search
from methods.stages.trilevel import TriLevel
from methods.weighting.famo import FAMO
from methods.weighting.rule import Rule
from methods.weighting.upgrad import UPGrad
from tasks.problem import Problem
from tests.methods import tiny
from tests.methods.analytic import Uninterrupted, start_of
from tests.methods.networks import three_levels, two_levels
from tests.tasks.text import small

ROWS = tiny.ROWS
ONE = ContinuedSettings.model_validate({"steps": 4, "batch": ROWS, "optimiser": tiny.SGD})
TUNING = FinetuneSettings.model_validate({"epochs": 3, "batch": ROWS, "patience": 3, "optimiser": tiny.SGD})
BATCHES = {"batch": ROWS, "validation_batch": ROWS}
SOLVERS = ("forward", "backward", "central", "neumann", "conjugate-gradients", "as-released")


class Small(tiny.Body):
    """A body without batch norm that refuses to train on more than ``limit`` rows at a time."""

    def __init__(self, limit: int) -> None:
        super().__init__(0)
        self.norm, self.limit = nn.Identity(), limit  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) > self.limit:
            raise torch.OutOfMemoryError(f"{len(x)} rows")
        return super().forward(x)


class Limited(tiny.Tiny):
    """Tiny with such a body."""

    def __init__(self, limit: int = ROWS) -> None:
        super().__init__()
        self.limit = limit

    def encoder(self) -> nn.Module:
        return Small(self.limit)


def three(name: str, **changes: Any) -> Stage:
    terms = {"terms": 2} if name in ("neumann", "conjugate-gradients") else {}
    return TriLevel(ONE, three_levels(hypergradient={"name": name, **terms}, **BATCHES, **changes), "val")


STAGES: dict[str, Callable[[], Stage]] = {
    "equal weights": lambda: Continued(ONE),
    "a rule that reads the losses after the step": lambda: Continued(
        ONE, Rule(FAMO, {"beta": 0.02, "gamma": 0.01, "bounds": [0.0, 0.0, 0.0]})
    ),
    "a rule that reads the Gramian": lambda: Continued(ONE, Rule(UPGrad)),
    **{f"three levels, {name}": lambda name=name: three(name) for name in SOLVERS},  # type: ignore[misc]
    "three levels, one-sided": lambda: three("one-sided", point="pre"),
    "three levels, cosine": lambda: three("backward", alignment="cosine"),
    "two levels, forward": lambda: BiLevel(ONE, two_levels(**BATCHES), "val"),
    "two levels, neumann": lambda: BiLevel(
        ONE, two_levels(hypergradient={"name": "neumann", "terms": 2}, **BATCHES), "val"
    ),
    "joint": lambda: tiny.joint(tiny.meta_tartan(), tiny.WHOLE),
    "joint, shared head": lambda: tiny.joint(tiny.meta_tartan(), tiny.SHARED),
    "fine-tuning": lambda: FineTune(TUNING),
    "search": lambda: Search(ONE, TUNING, trials=2, startup=None),
}


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_gives_the_same_in_half_the_rows(name: str) -> None:
    start = start_of(Limited())
    with pytest.raises(torch.OutOfMemoryError):
        STAGES[name]().run(Limited(ROWS // 2), start, Uninterrupted())
    whole = STAGES[name]().run(Limited(), start, Uninterrupted())
    halved = STAGES[name]().run(in_micro_batches(Limited(ROWS // 2), 2), start, Uninterrupted())
    assert_close(whole, halved)
    assert any(not torch.equal(whole.weights["encoder"][name], start["encoder"][name]) for name in start["encoder"])


def assert_close(one: StageResult, other: StageResult) -> None:
    mine, theirs = tiny.tensors(one), tiny.tensors(other)
    assert mine.keys() == theirs.keys()
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name], rtol=1e-9, atol=1e-9, msg=name)
    for key in ("weights", "alignment", "losses"):
        rows = [torch.tensor(each.log.get("trajectory", {}).get(key, []), dtype=torch.float64) for each in (one, other)]
        torch.testing.assert_close(*rows, rtol=1e-8, atol=1e-8)


def test_one_part_is_the_problem_itself() -> None:
    problem = tiny.Tiny()
    assert in_micro_batches(problem, 1) is problem


def test_names_class_and_the_other_problem_stay() -> None:
    problem = tiny.Tiny()
    parted = in_micro_batches(problem, 3)
    encoder = parted.encoder()
    assert isinstance(encoder, tiny.Body)
    assert encoder.state_dict().keys() == problem.encoder().state_dict().keys()
    assert type(problem.encoder()) is tiny.Body
    assert (parted.spec, parted.objectives) == (problem.spec, problem.objectives)


@pytest.mark.parametrize(
    ("rows", "count", "sizes"), [(24, 4, [6] * 4), (7, 3, [3, 2, 2]), (7, 64, [3, 2, 2]), (1, 2, [1])]
)
def test_parts_have_two_rows_at_least(rows: int, count: int, sizes: list[int]) -> None:
    seen: list[int] = []

    class Seen(tiny.Body):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(len(x))
            return x + 0

    problem = tiny.Tiny()
    problem.encoder = lambda: Seen(0)  # type: ignore[method-assign]
    in_micro_batches(problem, count).encoder()(torch.zeros(rows, tiny.D))
    assert seen == sizes


def test_batch_norm_takes_its_statistics_from_a_part_and_moves_once_a_batch() -> None:
    x, wanted = tiny.normal(9, tiny.D, purpose="x"), tiny.normal(9, tiny.WIDTH, purpose="wanted")
    body, parted = tiny.Body(0), in_micro_batches(tiny.Tiny(), 2).encoder()
    (parted(x) - wanted).square().sum().backward()
    pieces, means, variances = [], [], []
    for part in (x[:5], x[5:]):
        states = part @ body.first
        mean, variance = states.mean(0), states.var(0, unbiased=False)
        pieces.append(torch.tanh((states - mean) / (variance + body.norm.eps).sqrt()))
        means.append(mean.detach())
        variances.append(states.detach().var(0))
    (torch.cat(pieces) - wanted).square().sum().backward()
    torch.testing.assert_close(parted.first.grad, body.first.grad)
    norm = parted.get_submodule("norm")
    assert norm.num_batches_tracked == 1
    torch.testing.assert_close(norm.running_mean, 0.1 * (means[0] + means[1]) / 2)
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * (variances[0] + variances[1]) / 2)
    before = {name: buffer.clone() for name, buffer in parted.named_buffers()}
    body.load_state_dict(parted.state_dict())
    torch.testing.assert_close(parted.eval()(x), body.eval()(x))
    assert all(torch.equal(buffer, before[name]) for name, buffer in parted.named_buffers())


def test_the_backward_pass_drops_the_units_of_the_forward_pass() -> None:
    x, wanted = tiny.normal(8, tiny.D, purpose="x"), tiny.normal(8, tiny.WIDTH, purpose="wanted")

    class Dropping(tiny.Body):
        def forward(self, x: Tensor) -> Tensor:
            return functional.dropout(torch.tanh(x @ self.first), 0.5)

    problem = tiny.Tiny()
    problem.encoder = lambda: Dropping(0)  # type: ignore[method-assign]
    gradients, after = [], []
    for encoder, pieces in ((Dropping(0), (x[:4], x[4:])), (in_micro_batches(problem, 2).encoder(), (x,))):
        torch.manual_seed(3)
        output = torch.cat([encoder(piece) for piece in pieces])
        torch.rand(5)  # as heads draw between the two passes
        (output - wanted).square().sum().backward()
        gradients.append(encoder.first.grad)
        after.append(torch.rand(1))
    assert torch.equal(gradients[0], gradients[1])
    assert torch.equal(after[0], after[1])


def test_a_graph_holds_no_activations() -> None:
    """What the graph keeps: parameters, statistics and the batch, of which there is one copy whatever the depth."""
    x = torch.randn(64, 3)

    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(*(nn.Sequential(nn.Linear(3, 3), nn.Tanh()) for _ in range(20)))

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x)  # type: ignore[no-any-return]

    problem = tiny.Tiny()
    problem.encoder = Deep  # type: ignore[method-assign]
    kept = [rows_kept(lambda e=e: e(x).sum(), 64) for e in (Deep(), in_micro_batches(problem, 4).encoder())]  # type: ignore[misc]
    assert kept[0] >= 20 * 64
    assert kept[1] == 64


def rows_kept(run: Callable[[], Tensor], rows: int) -> int:
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.ndim == 2 and tensor.shape[1] == 3 and tensor.shape[0] > 3:
            found[tensor.data_ptr()] = len(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(found.values())


def test_an_input_gets_its_gradient_too() -> None:
    x = [tiny.normal(6, tiny.D, purpose="x").requires_grad_() for _ in range(2)]
    for each, encoder in zip(x, (Small(ROWS), in_micro_batches(Limited(), 3).encoder()), strict=True):
        encoder(each).square().sum().backward()
    torch.testing.assert_close(x[0].grad, x[1].grad)


def test_frozen_parameters_stay_without_gradient() -> None:
    encoder = in_micro_batches(tiny.Tiny(), 2).encoder()
    encoder.get_submodule("norm").requires_grad_(False)
    encoder(tiny.normal(6, tiny.D, purpose="x")).sum().backward()
    assert encoder.first.grad is not None
    assert encoder.get_submodule("norm").weight.grad is None


class Graph(nn.Module):
    """Nodes and the edges between them; of several graphs at once."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(tiny.normal(2, 2, purpose="graph"))

    def forward(self, nodes: Tensor, ends: Tensor) -> Tensor:
        return torch.tanh(nodes.index_add(0, ends[1], (nodes @ self.weight)[ends[0]]))


class Divided(Graph):
    """The same, which says where its batches can be cut: each graph has two nodes and one edge."""

    def cut(self, count: int, nodes: Tensor, ends: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        for edges in ends.T.split(-(-ends.shape[1] // count)):
            first, last = int(edges.min()), int(edges.max()) + 1
            yield nodes[first:last], edges.T - first


def test_an_encoder_of_several_inputs_says_how_to_cut_them() -> None:
    nodes, ends = tiny.normal(10, 2, purpose="nodes"), torch.arange(10).view(5, 2).T
    problem = tiny.Tiny()
    problem.encoder = Graph  # type: ignore[method-assign]
    assert not is_divisible(problem)
    problem.encoder = Divided  # type: ignore[method-assign]
    assert is_divisible(problem)
    assert is_divisible(tiny.Tiny())
    whole, parted = Graph(), in_micro_batches(problem, 2).encoder()
    outputs = [encoder(nodes, ends) for encoder in (whole, parted)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    torch.testing.assert_close(whole.weight.grad, parted.weight.grad)


def text(parts: int) -> tuple[Problem, nn.Module, nn.ModuleDict, nn.Module]:
    problem = in_micro_batches(small.problem(dropout=0.0)[0], parts)
    return problem, *(
        part.double() for part in (problem.encoder(), problem.objective_heads(), problem.downstream_head())
    )  # type: ignore[return-value]


def test_losses_that_compare_sentences_are_those_of_the_whole_batch() -> None:
    """RoBERTa: four objectives with their gradients, v, and the alignment in forward and in reverse mode."""
    found = []
    for parts in (1, 4):
        problem, encoder, heads, head = text(parts)
        batch, val = problem.stream("corpus", 6, "p").batch(0), problem.stream("val", 6, "p").batch(0)
        terms = problem.objective_terms(encoder, heads, batch)
        gradients = [
            torch.autograd.grad(
                term, list(encoder.parameters()), retain_graph=True, materialize_grads=True, allow_unused=True
            )
            for term in terms
        ]
        v, value = validation_gradient(encoder, head, lambda e, h: problem.downstream_loss(e, h, val))  # noqa: B023
        function, theta = as_function(encoder, heads, lambda e, h: problem.objective_losses(e, h, batch))  # type: ignore[arg-type]  # noqa: B023
        probe = Probe(function, theta, v, torch.full((4,), 0.25, dtype=torch.float64))
        found.append([torch.stack(terms), *(g for row in gradients for g in row), value, *v.values(),
                      forward(probe), backward(probe)])  # fmt: skip
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)
