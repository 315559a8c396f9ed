"""Learned weights against their null: the tests by hand and by scipy, what is refused, what the page says."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from bench.records import Record
from leaderboard.content import LearnedWeights
from leaderboard.report import build
from leaderboard.tables.markdown import render
from tests.leaderboard.fabricate import failure, many, path, plan, record, save

TASK = "moleculenet:bace"


def runs(
    method: str, finals: Sequence[Sequence[float]], task: str = TASK, control: str | None = None, **changes: Any
) -> list[Record]:
    """One record per row of ``finals``, whose trajectory ends there."""
    return [
        record(method, task, seed, 0.8 + seed / 1000, trajectory=path(final), control_of=control, **changes)
        for seed, final in enumerate(finals)
    ]


def spread(low: float, n: int, seeds: int = 5) -> list[list[float]]:
    """Finals whose first weight is about ``low`` and apart by seed; the others share the rest."""
    first = [low + seed / 1000 for seed in range(seeds)]
    return [[weight, *[(1 - weight) / (n - 1)] * (n - 1)] for weight in first]


def learned(folder: Path) -> list[LearnedWeights]:
    return build([folder]).boards[0].tasks[0].learned


def section(folder: Path) -> str:
    return render(build([folder])).split("#### Learned weights against their null")[1].split("####")[0]


def test_separated_weights_differ_and_the_p_is_known(tmp_path: Path) -> None:
    theirs = spread(0.20, 3)
    # The first weight of every run lies above every one of the control, so the other two lie below.
    save(tmp_path, [*runs("tapweight", spread(0.30, 3)), *runs("tapweight-null", theirs, control="tapweight")])
    (found,) = learned(tmp_path)
    assert (found.row, found.control, found.no_verdict) == ("tapweight", "tapweight-null", None)
    assert [weight.differs for weight in found.objectives] == [True] * 3
    assert [weight.p for weight in found.objectives] == pytest.approx([2 / 252] * 3)
    assert [weight.p_holm for weight in found.objectives] == pytest.approx([6 / 252] * 3)
    first = found.objectives[0]
    assert (first.mean, first.null_mean, first.difference) == pytest.approx((0.302, 0.202, 0.1))
    text = section(tmp_path)
    assert (
        "- tapweight on bace: differs from its null tapweight-null for w0 (+0.100, p 0.024), w1 (-0.050, p 0.024) "
        "and w2 (-0.050, p 0.024)." in text
    )
    assert "**0.302 / 0.202**" in text
    assert "exact over 252 splits" in text
    assert "cannot reach 5 % at five seeds" in text


def test_one_objective_of_five_differs(tmp_path: Path) -> None:
    """Two weights trade places; of the others every value occurs on both sides, so p is 1."""
    mine = [[0.1 + k / 1000, 0.3 - k / 1000, 0.2, 0.2, 0.2] for k in range(5)]
    theirs = [[0.1 + k / 1000, 0.3 - k / 1000, 0.2, 0.2, 0.2] for k in range(5)]
    mine = [[a, b - 0.05, c + 0.05, d, e] for a, b, c, d, e in mine]
    save(tmp_path, [*runs("tapweight", mine), *runs("tapweight-null", theirs, control="tapweight")])
    (found,) = learned(tmp_path)
    assert [weight.differs for weight in found.objectives] == [False, True, True, False, False]
    assert [weight.p_holm for weight in found.objectives] == pytest.approx([1, 10 / 252, 10 / 252, 1, 1])


@pytest.mark.parametrize("seed", range(3))
def test_p_values_are_those_of_scipy(tmp_path: Path, seed: int) -> None:
    generator = np.random.default_rng(seed)
    mine, theirs = generator.dirichlet([8, 2, 3, 4], 6), generator.dirichlet([4, 4, 3, 4], 6)
    save(tmp_path, [*runs("a", mine.tolist()), *runs("a-null", theirs.tolist(), control="a")])
    (found,) = learned(tmp_path)
    raw = [
        stats.permutation_test(
            (mine[:, k], theirs[:, k]), lambda a, b: a.mean() - b.mean(), n_resamples=np.inf, vectorized=False
        ).pvalue
        for k in range(4)
    ]
    assert [weight.p for weight in found.objectives] == pytest.approx(raw)
    order = np.argsort(raw)
    corrected = np.minimum(1, np.maximum.accumulate(np.array(raw)[order] * np.array([4, 3, 2, 1])))
    assert [found.objectives[k].p_holm for k in order] == pytest.approx(corrected.tolist())
    assert found.clearest.p == pytest.approx(min(raw))


def test_no_difference_is_said_with_the_smallest_p_and_tasks_that_agree_share_a_line(tmp_path: Path) -> None:
    for task in (TASK, "moleculenet:esol"):
        save(tmp_path, runs("tapweight", spread(0.2, 5), task))
        save(tmp_path, runs("tapweight-null", spread(0.2, 5), task, "tapweight"))
    line = (
        "- tapweight on bace and esol: no objective's weight is separated from its null tapweight-null "
        "(smallest p after Holm 1.00)."
    )
    assert line in section(tmp_path)
    assert "**" not in section(tmp_path).split("Cells:")[0]
    assert "The 2 families are not corrected against each other" in section(tmp_path)


@pytest.mark.parametrize("seeds", range(2, 7))
def test_too_few_seeds_get_no_verdict(tmp_path: Path, seeds: int) -> None:
    for n in range(2, 8):
        folder = tmp_path / str(n)
        save(folder, runs("tapweight", spread(0.5, n, seeds)))
        save(folder, runs("tapweight-null", spread(0.2, n, seeds), control="tapweight"))
        (found,) = learned(folder)
        impossible = 2 / comb(2 * seeds, seeds) * n > 0.05
        assert (found.no_verdict is not None) == impossible
        assert {weight.differs for weight in found.objectives} == {not impossible}
        assert ("No verdict for tapweight on bace: " in section(folder)) == impossible
        assert ("differs from its null" in section(folder)) != impossible
        assert (f"{seeds} seeds allow p >= " in section(folder)) == impossible


def test_methods_without_a_control_are_listed_with_their_weights(tmp_path: Path) -> None:
    save(tmp_path, [*runs("rlw", spread(0.3, 3)), *runs("dwa", spread(0.4, 3)), *runs("null", [[1.0]], control="gone")])
    save(tmp_path, [record("finetune", TASK, 0, 0.7)])
    found = learned(tmp_path)
    assert [(one.row, one.control, one.procedure) for one in found] == [("dwa", None, None), ("rlw", None, None)]
    assert "- No verdict for dwa and rlw on bace: no control run." in section(tmp_path)
    assert "0.302 / –" in section(tmp_path)
    assert "permutation" not in section(tmp_path)


def test_a_protocol_without_marks_prints_weights_and_no_test(tmp_path: Path) -> None:
    mine, theirs = runs("a", spread(0.3, 3), marks=False), runs("a-null", spread(0.2, 3), control="a", marks=False)
    save(tmp_path, [*mine, *theirs])
    (found,) = learned(tmp_path)
    assert {(weight.p, weight.p_holm, weight.differs) for weight in found.objectives} == {(None, None, False)}
    assert "0.302 / 0.202" in section(tmp_path)
    assert "- No verdict for a on bace: this protocol supports no significance at any number of seeds." in section(
        tmp_path
    )


def test_runs_with_other_objectives_are_left_out_and_said(tmp_path: Path) -> None:
    save(tmp_path, [*runs("a", spread(0.3, 3)), *runs("a-null", spread(0.2, 4), control="a")])
    (found,) = learned(tmp_path)
    assert (found.control, found.no_verdict) == (None, "no control run")
    assert "a on bace: 5 runs with other objectives left out." in section(tmp_path)


def test_the_last_row_counts_and_of_a_step_written_twice_the_later_one(tmp_path: Path) -> None:
    final = path([0.4, 0.6])
    final = final.model_copy(update={"steps": [4, 8, 8], "weights": [[0.5, 0.5], [0.1, 0.9], [0.4, 0.6]]})
    save(tmp_path, [record("a", TASK, 0, 0.8, trajectory=final)])
    assert [weight.weights for weight in learned(tmp_path)[0].objectives] == [[0.4], [0.6]]


def test_a_failed_seed_shows_and_the_statistic_says_so(tmp_path: Path) -> None:
    mine, theirs = runs("a", spread(0.3, 3)), runs("a-null", spread(0.2, 3), control="a")
    save(tmp_path, [*mine, *theirs[:4], failure("a-null", TASK, 4)])
    plan(tmp_path, [*mine, *theirs], ["a", "a-null"], [TASK])
    (found,) = learned(tmp_path)
    assert found.procedure is not None
    assert (found.procedure.statistic, found.procedure.splits) == ("Welch t", 126)
    assert found.null_seeds == [0, 1, 2, 3]
    assert "5 / 4†" in section(tmp_path)


def test_a_page_of_many_methods_stays_a_line_per_method_and_task(tmp_path: Path) -> None:
    save(tmp_path, [*many(), *many(task="moleculenet:esol")])
    lines = [line for line in section(tmp_path).splitlines() if line]
    assert len([line for line in lines if line.startswith("|")]) == 2 + 12 * 2
    assert len([line for line in lines if line.startswith("- ")]) == 4 + 1 + 1
    head = [cell.strip() for cell in lines[0].strip("|").split("|")]
    assert head[-3:] == ["end-task", "smallest p", "p (Holm)"]
    ends = [line.split("|")[-4].strip() for line in lines[2:26]]
    assert [end != "–" for end in ends] == ["meta-tartan" in line for line in lines[2:26]]
