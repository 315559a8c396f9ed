"""The search for fixed weights: its points, its trials, its budget, and that it goes on after a kill."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from bench.checkpoint import CheckpointedRun
from bench.errors import RequestError
from bench.plan import parse_methods
from bench.protocol_files import load
from methods import METHODS
from methods.stage import StageResult
from methods.stages.continued import Continued
from methods.stages.finetune import FineTune
from methods.stages.search import Search, centre, on_simplex, tpe
from methods.weighting.fixed import Fixed
from methods.weighting.rule import Rule
from tasks.catalogue import get
from tasks.problem import Problem
from tasks.randomness import derive
from tests.methods.analytic import SPEC, Uninterrupted, start_of

METHOD = pytest.mark.parametrize("method", ["search-random", "search-tpe"])
SHORT = ("continued.steps=3", "finetune.epochs=2", "search.epochs=1", "search.startup=2")


def stage_of(method: str, trials: int, *assignments: str) -> Search:
    rules = load("smoke", [*SHORT, f"search.trials={trials}", *assignments])
    settings = rules.resolve(METHODS.get(method), get("demo:logp"), "resnet18").settings
    search, finetune = METHODS.get(method).stages(settings)
    assert isinstance(search, Search)
    assert isinstance(finetune, FineTune)
    assert finetune.settings == settings.finetune
    return search


def same(a: Any, b: Any) -> bool:
    parts = ("encoder", "heads")
    return all(torch.equal(a[part][name], b[part][name]) for part in parts for name in a[part])


@pytest.fixture(scope="module")
def found(demo_problem: Problem) -> dict[str, StageResult]:
    """Five trials of either search."""
    return {
        name: stage_of(name, 5).run(demo_problem, start_of(demo_problem), Uninterrupted())
        for name in ("search-random", "search-tpe")
    }


# --- points


def test_the_simplex_of_hand_values() -> None:
    assert on_simplex([0.3]) == pytest.approx([0.3, 0.7])
    # n = 3: the first piece is 1 - sqrt(1 - u), the second a uniform share of the rest.
    assert on_simplex([0.75, 0.5]) == pytest.approx([0.5, 0.25, 0.25])
    assert on_simplex([]) == [1.0]
    assert on_simplex([1.0, 0.2]) == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("n", [1, 2, 3, 6, 20])
def test_the_centre_is_equal_weights(n: int) -> None:
    assert on_simplex(centre(n)) == pytest.approx([1 / n] * n)


@given(st.lists(st.floats(0, 1), max_size=9))
def test_every_point_is_on_the_simplex(point: list[float]) -> None:
    s = on_simplex(point)
    assert len(s) == len(point) + 1
    assert min(s) >= 0
    assert sum(s) == pytest.approx(1)
    Fixed(len(s), s=s)


def test_uniform_points_are_uniform_on_the_simplex() -> None:
    draws = np.random.default_rng(0)
    weights = np.array([on_simplex(row.tolist()) for row in draws.random((3000, 3))])
    for column in weights.T:  # every marginal of Dirichlet(1, 1, 1, 1) is Beta(1, 3)
        assert kstest(column, beta(1, 3).cdf).pvalue > 0.01
    assert np.cov(weights.T)[0, 1] == pytest.approx(-1 / (16 * 5), abs=2e-3)


# --- TPE


def distance(point: list[float]) -> float:
    return sum((u - target) ** 2 for u, target in zip(point, (0.2, 0.7, 0.4), strict=True))


def asked(trials: int, sign: float = 1.0, seed: int = 0) -> tuple[list[list[float]], list[float]]:
    points = [centre(4)]
    values = [sign * distance(points[0])]
    for trial in range(1, trials):
        points.append(tpe(points, values, sign < 0, derive(seed, "test", trial)))
        values.append(sign * distance(points[-1]))
    return points, values


def test_tpe_improves_on_its_first_trial_where_that_is_easy() -> None:
    points, values = asked(40)
    assert min(values) < 0.2 * values[0]
    assert np.mean(values[20:]) < np.mean(values[:10]), "it proposes better points as it learns"
    assert all(0 <= u <= 1 for point in points for u in point)


def test_tpe_asks_the_same_of_the_same_trials_and_knows_the_direction() -> None:
    points, values = asked(8)
    assert asked(8) == (points, values)
    assert asked(8, sign=-1) == (points, [-value for value in values])
    assert tpe(points, values, True, 1) != tpe(points, values, False, 1)
    assert tpe(points, values, False, 2) != tpe(points, values, False, 1)


def test_tpe_is_silent_and_leaves_everything_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    import optuna

    numbers, level = np.random.get_state()[1], optuna.logging.get_verbosity()  # type: ignore[index]
    state = torch.random.get_rng_state()
    asked(4)
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == level == logging.INFO
    assert np.array_equal(np.random.get_state()[1], numbers)  # type: ignore[index]
    assert torch.equal(torch.random.get_rng_state(), state)


# --- trials


@METHOD
def test_one_trial_is_cp(demo_problem: Problem, method: str) -> None:
    search = stage_of(method, 1)
    result = search.run(demo_problem, start_of(demo_problem), Uninterrupted())
    cp = Continued(search.pretraining).run(demo_problem, start_of(demo_problem), Uninterrupted())
    assert same(result.weights, cp.weights)
    assert result.log["trajectory"]["weights"] == cp.log["trajectory"]["weights"][-1:]
    assert result.log["trajectory"]["losses"] == cp.log["trajectory"]["losses"][-1:]


@METHOD
def test_the_best_trial_on_validation_is_handed_on(
    demo_problem: Problem, found: dict[str, StageResult], method: str
) -> None:
    result, search = found[method], stage_of(method, 5)
    tried = result.log["trials"]
    values = [trial["value"] for trial in tried]
    assert len(values) == 5
    best = tried[int(np.argmin(values))]  # demo:logp has an error to minimise
    path = result.log["trajectory"]
    assert path["weights"][-1] == best["weights"]
    assert path["steps"] == [1, 2, 3, 4, 5]
    assert path["weights"] == [tried[int(np.argmin(values[: t + 1]))]["weights"] for t in range(5)]
    # By hand: pretrain under the winning weights, fine-tune, score.
    rule = Rule(Fixed, {"s": best["weights"]})
    again = Continued(search.pretraining, rule).run(demo_problem, start_of(demo_problem), Uninterrupted())
    assert same(result.weights, again.weights)
    tuned = FineTune(search.finetuning).run(demo_problem, again.weights, Uninterrupted())
    assert min(tuned.log["learning_curve"]["validation"]) == best["value"]
    assert path["losses"][-1] == again.log["trajectory"]["losses"][-1]


def test_the_searches_share_their_startup_and_then_part(found: dict[str, StageResult]) -> None:
    random, modelled = (found[name].log["trials"] for name in ("search-random", "search-tpe"))
    assert random[0]["weights"] == [1 / 6] * 6
    assert random[:2] == modelled[:2]
    assert all(a["weights"] != b["weights"] for a, b in zip(random[2:], modelled[2:], strict=True))
    for trials in (random, modelled):
        assert len({tuple(trial["weights"]) for trial in trials}) == 5
        assert all(min(trial["weights"]) >= 0 for trial in trials)
        assert all(abs(sum(trial["weights"]) - 1) < 1e-12 for trial in trials)


def test_the_direction_of_the_metric_decides(demo_problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.6, 0.9, 0.7])
    real = FineTune.run

    def scripted(self: FineTune, *arguments: Any) -> StageResult:
        result = real(self, *arguments)
        return StageResult(
            result.weights,
            result.models,
            {
                "learning_curve": {"unit": "epoch", "done": [1], "validation": [next(scores)]},
                "chosen_step": 1,
            },
        )

    monkeypatch.setattr(FineTune, "run", scripted)
    monkeypatch.setattr(type(demo_problem.task), "higher_is_better", property(lambda _: True))
    result = stage_of("search-random", 3).run(demo_problem, start_of(demo_problem), Uninterrupted())
    assert result.log["trajectory"]["weights"][-1] == result.log["trials"][1]["weights"]


def test_the_budget_counts_all_trials(found: dict[str, StageResult]) -> None:
    for result in found.values():
        assert result.log["budget"] == {"trials": 5, "pretraining_steps": 15, "finetuning_epochs": 5}
    # Fine-tuning of a trial is shortened, never lengthened.
    assert stage_of("search-random", 1, "search.epochs=9").finetuning.epochs == 2
    assert stage_of("search-random", 1, "search.epochs=1").finetuning.epochs == 1


class Killed(Exception):
    """The process went away."""


@METHOD
def test_a_killed_search_goes_on_with_the_same_bits(
    demo_problem: Problem,
    found: dict[str, StageResult],
    method: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", "0")
    real, runs = Continued.run, list[str]()

    def counted(self: Continued, *arguments: Any) -> StageResult:
        runs.append(self.name)
        if len(runs) == 4:  # in the middle of a trial
            raise Killed
        return real(self, *arguments)

    monkeypatch.setattr(Continued, "run", counted)

    def attempt() -> StageResult:
        context = CheckpointedRun(tmp_path / "checkpoint", lambda step, total: None)
        return stage_of(method, 5).run(demo_problem, start_of(demo_problem), context)

    with pytest.raises(Killed):
        attempt()
    result = attempt()
    assert runs == [f"search, trial {trial}" for trial in (1, 2, 3, 4, 4, 5)]
    assert same(result.weights, found[method].weights)
    assert result.log == found[method].log


def test_everything_that_matters_is_in_the_key(demo_problem: Problem) -> None:
    spec = demo_problem.spec
    keys = [
        stage_of(*arguments).key(spec)
        for arguments in [
            ("search-random", 5),
            ("search-tpe", 5),
            ("search-tpe", 6),
            ("search-tpe", 5, "search.startup=3"),
            ("search-tpe", 5, "search.epochs=2"),
            ("search-tpe", 5, "continued.batch=8"),
            ("search-tpe", 5, "finetune.optimiser.lr=0.1"),
        ]
    ]
    assert all(a != b for k, a in enumerate(keys) for b in keys[:k])
    assert stage_of("search-random", 5).key(spec) == stage_of("search-random", 5, "search.startup=3").key(spec)


def test_one_objective_is_nothing_to_search_for() -> None:
    with pytest.raises(RequestError, match=r"stage 'search': a search needs at least 2 terms to weight, got 1 \(first"):
        stage_of("search-random", 2).validate(replace(SPEC, objectives=("first",)))


def test_a_name_stands_for_both() -> None:
    assert sorted(parse_methods("search")) == ["search-random", "search-tpe"]
    assert METHODS.get("search-tpe").extra == "search"
