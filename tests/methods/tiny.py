"""A small network in float64 with batch norm, objectives, heads and an end task, and joint training on it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from methods.settings import ContinuedSettings, JointSettings, MetaSettings
from methods.stage import StageResult
from methods.stages.joint import Joint
from methods.weighting.metatartan import MetaTartan
from methods.weighting.rule import Rule
from tasks.catalogue import get
from tasks.problem import Batch, BatchStream, Problem, Scores, Source
from tasks.randomness import generator
from tasks.spec import ProblemSpec
from tasks.stream import ShuffledStream
from tests.methods.analytic import Uninterrupted, start_of

D, WIDTH, ROWS = 5, 4, 24  # inputs, features, examples of each source
OBJECTIVES = ("near", "far", "opposed")
SPEC = ProblemSpec(
    task=get("demo:logp"), split_checksum="", labels={}, backbone="tiny", encoder={}, corpus={}, objectives=OBJECTIVES,
    seed=0,
)  # fmt: skip


def normal(*shape: int, purpose: str, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed, purpose), dtype=torch.float64)


class Body(nn.Module):
    """Inputs (b, D) to features (b, WIDTH), with batch norm, whose statistics a probe may not move."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.first = nn.Parameter(normal(D, WIDTH, purpose="body", seed=seed) / 2)
        self.norm = nn.BatchNorm1d(WIDTH, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = torch.tanh(self.norm(x @ self.first))
        return features


def linear(purpose: str, seed: int) -> nn.Linear:
    head: nn.Linear = nn.utils.skip_init(nn.Linear, WIDTH, 1, dtype=torch.float64)
    with torch.no_grad():
        head.weight.copy_(normal(1, WIDTH, purpose=purpose, seed=seed))
        head.bias.copy_(normal(1, purpose=f"{purpose} bias", seed=seed) / 10)
    return head


class Tiny(Problem):
    """Regression on one layer: objective i predicts x . u_i, the end task x . u; all sources are a batch or more."""

    directions: ClassVar[dict[str, float]] = {"near": 1.0, "far": 0.0, "opposed": -1.0}  # along u

    def __init__(self, objectives: tuple[str, ...] = OBJECTIVES, seed: int = 0) -> None:
        self.spec, self.device = replace(SPEC, objectives=objectives, seed=seed), torch.device("cpu")
        self.target = normal(D, purpose="target")
        self.inputs = {part: normal(ROWS, D, purpose=part) for part in ("corpus", "train", "val")}
        self.calls: list[str] = []

    def encoder(self) -> nn.Module:
        return Body(self.spec.seed)

    def load_checkpoint(self, path: Path) -> nn.Module:
        raise NotImplementedError

    def objective_heads(self) -> nn.ModuleDict:
        return nn.ModuleDict({name: linear(name, self.spec.seed) for name in self.objectives})

    def objective_terms(self, encoder: nn.Module, heads: nn.ModuleDict, batch: Batch, idle: Any = ()) -> list[Tensor]:
        features, terms = encoder(batch["x"]), []
        for name in self.objectives:
            wanted = self.directions[name] * self.target + normal(D, purpose=f"{name} target") / 2
            terms.append((heads[name](features)[:, 0] - batch["x"] @ wanted).square().mean())
        return terms

    def downstream_head(self) -> nn.Module:
        return linear("downstream head", self.spec.seed)

    def features(self, encoder: nn.Module, batch: Batch) -> Tensor:
        self.calls.append("features")
        features: Tensor = encoder(batch["x"])
        return features

    def outputs_loss(self, outputs: Tensor, batch: Batch) -> Tensor:
        self.calls.append("loss")
        return (outputs[:, 0] - batch["y"]).square().mean()

    def stream(self, source: Source, batch_size: int, purpose: str) -> BatchStream:
        x = self.inputs["val" if source.startswith("val") else source]
        y = x @ self.target
        if source == "val-null":
            y = y.flip(0)
        batches = lambda rows, _: {"x": x[rows], "y": y[rows]}  # noqa: E731
        return ShuffledStream(batch_size, torch.arange(ROWS), self.spec.seed, purpose, batches)

    @torch.no_grad()
    def score(self, encoder: nn.Module, head: nn.Module, split: Any = "val", key: Any = None) -> Scores:
        x = self.inputs[split]
        modes = encoder.training
        error = (head(encoder.eval()(x))[:, 0] - x @ self.target).square().mean().sqrt()
        encoder.train(modes)
        return {"rmse": error.item()}

    def facts(self) -> dict[str, Any]:
        return {}


class Scripted(Tiny):
    """Tiny with validation scores that are written down; lower is better."""

    def __init__(self, *scores: float) -> None:
        super().__init__()
        self.scores = iter(scores)

    def score(self, encoder: nn.Module, head: nn.Module, split: Any = "val", key: Any = None) -> Scores:
        return {"rmse": next(self.scores)}


SGD = {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3, "schedule": "constant"}
CONSTANT = {"schedule": "constant", "warmup": 0.0, "clip": None}
WHOLE = MetaSettings(validation_batch=ROWS, meta_batch=ROWS)
SHARED = MetaSettings(validation_batch=ROWS, meta_head="shared")


def joint(
    rule: Rule, meta: MetaSettings | None = None, steps: int = 6, validation: Any = "val", **changes: Any
) -> Joint:
    """The stage on whole batches; ``body`` changes the body's optimiser, all else the joint settings."""
    body = ContinuedSettings.model_validate({"steps": steps, "batch": ROWS, "optimiser": SGD | changes.pop("body", {})})
    settings = JointSettings.model_validate({"batch": ROWS, "head": CONSTANT, "evaluate_every": 2} | changes)
    return Joint(body, settings, rule, meta, validation)


def run(stage: Joint, problem: Problem | None = None) -> StageResult:
    problem = problem or Tiny()
    return stage.run(problem, start_of(problem), Uninterrupted())


def meta_tartan(**options: Any) -> Rule:
    return Rule(MetaTartan, {"eta": 0.1} | options)


def trajectory(result: StageResult, column: str) -> Tensor:
    return torch.tensor(result.log["trajectory"][column], dtype=torch.float64)


def tensors(result: StageResult) -> dict[str, Tensor]:
    found = {f"{part}/{name}": t for part, state in result.weights.items() for name, t in state.items()}
    for readout, model in result.models.items():
        found |= {f"{readout}/encoder/{name}": t for name, t in model.encoder.items()}
        found |= {f"{readout}/head/{name}": t for name, t in model.head.items()}
    return found


def assert_same(first: StageResult, second: StageResult) -> None:
    mine, theirs = tensors(first), tensors(second)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert first.log == second.log


def explicit(problem: Tiny) -> tuple[Tensor, Tensor, Body, nn.Module]:
    """The gradients (k, |B|) and losses of all terms where training starts, with the modules there."""
    body, heads, head = Body(0), problem.objective_heads(), problem.downstream_head()
    corpus, train = (problem.stream(source, ROWS, "any order").batch(0) for source in ("corpus", "train"))
    terms = [*problem.objective_terms(body, heads, corpus), problem.downstream_loss(body, head, train)]
    rows = [torch.autograd.grad(term, list(body.parameters()), retain_graph=True) for term in terms]
    return torch.stack([torch.cat([g.flatten() for g in row]) for row in rows]), torch.stack(terms), body, head
