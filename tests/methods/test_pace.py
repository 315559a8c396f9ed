"""When the upper levels move: at their period, or sooner where the weights move fast, and then by less."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.checkpoint import CheckpointedRun
from methods.stages.pace import Pace
from methods.stages.trilevel import TriLevel
from tests.methods.analytic import Run, start_of
from tests.methods.networks import NetworkProblem, continued, three_levels
from tests.methods.test_identities import learn, rows_of, same

HALVES = torch.tensor([0.5, 0.5], dtype=torch.float64)


def pace(**changes: Any) -> Pace:
    return Pace(three_levels(**{"unroll_one": 6, **changes}))


def moved(by: float) -> torch.Tensor:
    return HALVES + by * torch.tensor([1.0, -1.0])


def test_without_a_largest_move_the_period_is_kept() -> None:
    kept = pace(unroll_two=2)
    due = []
    for done in range(1, 40):
        if kept.two_due(done):
            due.append(done)
        if kept.three_due(done):
            kept.three_moved(done, HALVES, moved(0.4))
            due.append(-done)
    assert due == [6, 12, -12, 18, 24, -24, 30, 36, -36]
    assert kept.share == 1


@pytest.mark.parametrize(
    ("by", "gap"), [(0.4, 1), (0.01, 1), (0.009, 1), (0.0049, 2), (0.0024, 4), (0.001, 6), (0.0, 6), (1e-9, 6)]
)
def test_the_next_gap_keeps_to_the_largest_move_at_the_last_speed(by: float, gap: int) -> None:
    first = pace(largest_move=0.01)
    assert (first.gap, first.share) == (1, 1 / 6), "no speed is known at the start"
    assert first.two_due(1)
    assert first.three_due(1)
    first.three_moved(1, HALVES, moved(by))
    assert (first.gap, first.share) == (gap, pytest.approx(gap / 6))
    assert [done for done in range(2, 14) if first.two_due(done)] == [d for d in range(2, 14) if (d - 1) % gap == 0]
    assert [done for done in range(2, 14) if first.three_due(done)] == [1 + gap]


def test_a_speed_is_of_all_steps_since_the_last_move() -> None:
    one = pace(largest_move=0.01, unroll_two=3)
    one.three_moved(3, HALVES, moved(0.01))  # in three steps of level I; a gap moves level III once in three
    assert one.gap == 1
    one.three_moved(6, HALVES, moved(0.0039))
    assert one.gap == 2
    one.three_moved(12, HALVES, moved(0.0039))  # six steps
    assert one.gap == 5
    again = pace(largest_move=0.01, unroll_two=3)
    again.load_state_dict(one.state_dict())
    assert vars(again) | {"settings": None} == vars(one) | {"settings": None}


def test_the_fastest_weight_counts_whichever_way_it_goes() -> None:
    one, before = pace(largest_move=0.01), torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    one.three_moved(1, before, before + torch.tensor([0.001, 0.0014, -0.0024], dtype=torch.float64))
    assert one.gap == 4
    one.three_moved(5, before, before + torch.tensor([-0.002, -0.014, 0.016], dtype=torch.float64))
    assert one.gap == 2


@pytest.mark.parametrize("value", [5e-324, float("nan")])
def test_what_is_next_to_nothing_or_not_finite_is_left_to_the_period(value: float) -> None:
    """The step after it says which value is not finite."""
    one = pace(largest_move=0.01)
    one.three_moved(1, torch.zeros(1, dtype=torch.float64), torch.tensor([value], dtype=torch.float64))
    assert one.gap == 6


@pytest.mark.parametrize("point", ["post", "pre"])
def test_batches_are_asked_for_in_turn(point: str) -> None:
    problem = NetworkProblem()
    scheme: dict[str, Any] = {"name": "neumann", "step": 0.1}  # level III asks for level II's batch
    changes: dict[str, Any] = {"point": point, "rate": 30.0, "unroll_one": 4, "unroll_two": 2, "largest_move": 0.02}
    steps = learn(problem, continued(40), hypergradient=scheme, **changes).log["trajectory"]["steps"]
    gaps = {first - second for first, second in zip(steps[1:], steps, strict=False)}
    assert steps[0] == 2
    assert len(gaps) > 1
    assert gaps <= {2, 4, 6, 8}
    moves, asked = len(steps), problem.streams["level II"].asked
    assert problem.streams["level III"].asked == list(range(moves))
    turns = [turn for three in range(moves) for turn in (2 * three, 2 * three + 1, 2 * three + 1)]
    assert asked[: len(turns)] == turns
    assert asked[len(turns) :] == list(range(2 * moves, 2 * moves + len(asked) - len(turns)))


def test_a_shorter_gap_moves_both_levels_by_its_share() -> None:
    """Always sooner, at every step, is the same as the period 1 at a sixth of both rates, but for rounding."""
    rate, own = 0.6, three_levels().optimiser
    sixth = own.model_copy(update={"lr": own.lr / 6})
    whole = learn(NetworkProblem(), continued(9), point="pre", rate=rate, unroll_one=6, largest_move=1e-9)
    every = learn(NetworkProblem(), continued(9), point="pre", rate=rate / 6, optimiser=sixth)
    assert whole.log["trajectory"]["steps"] == every.log["trajectory"]["steps"] == list(range(1, 9))
    assert torch.allclose(rows_of(whole, "weights"), rows_of(every, "weights"), rtol=1e-9)
    for name, tensor in every.models["omega"].encoder.items():
        assert torch.allclose(whole.models["omega"].encoder[name], tensor, rtol=1e-9)


def test_a_still_weight_vector_is_left_to_the_period() -> None:
    rows = learn(NetworkProblem(), continued(20), rate=0.0, unroll_one=6, largest_move=0.01).log["trajectory"]
    assert rows["steps"] == [1, 7, 13, 19]


def test_it_follows_the_exact_weights_where_the_period_alone_does_not() -> None:
    """Equal rates per step of level I, whole parts and so no noise; fewer than half of the exact mode's moves."""
    steps, at = 240, (10, 30, 60, 120, 180, 240)
    common = {"continued__steps": steps, "tapweight__point": "post"}

    def weights(**changes: Any) -> tuple[int, np.ndarray]:
        run = Run("tapweight", **common, **{f"tapweight__{name}": value for name, value in changes.items()})
        rows, moves = run.rows(), np.array(run.result.log["trajectory"]["steps"])
        return len(moves), rows[np.searchsorted(moves, at, side="right") - 1]

    exact, best = weights(rate=0.25, optimiser__lr=0.1)
    slow, period = weights(rate=1.5, optimiser__lr=0.6, unroll_one=6)
    some, sooner = weights(rate=1.5, optimiser__lr=0.6, unroll_one=6, largest_move=0.01)
    assert (exact, slow) == (240, 40)
    assert slow < some < exact / 2
    assert np.abs(sooner - best).max() < 0.02
    assert np.abs(period - best).max() > 0.1


def test_a_run_goes_on_from_a_checkpoint_with_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(Exception):
        pass

    def progress(step: int, total: int) -> None:
        if stops and step == stops[0]:
            stops.pop(0)
            raise Stop

    monkeypatch.setenv("BENCH_CHECKPOINT_SECONDS", "0")
    changes: dict[str, Any] = {"point": "pre", "rate": 3.0, "unroll_one": 6, "largest_move": 0.02}
    whole = learn(NetworkProblem(), continued(60), **changes)
    gaps = np.diff(whole.log["trajectory"]["steps"])
    assert len(set(gaps.tolist())) > 2, "the pace changes"
    problem, path = NetworkProblem(), tmp_path / "stage.checkpoint"
    stage = TriLevel(continued(60), three_levels(**changes), "val")
    stops = [14, 33]
    while stops:
        with pytest.raises(Stop):
            stage.run(problem, start_of(problem), CheckpointedRun(path, progress))
        assert path.is_file()
    again = stage.run(problem, start_of(problem), CheckpointedRun(path, progress))
    assert again.log == whole.log
    assert same(again.weights["encoder"], whole.weights["encoder"])
