"""One comparison in full: its numbers against other ways to get them."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bench.errors import RequestError
from leaderboard.statistics.floors import smallest_effect
from leaderboard.versus import needed_seeds, versus
from tests.leaderboard.fabricate import failure, grid, large, plan, record, save

TASKS = ["moleculenet:bace", "moleculenet:esol"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three methods and a control on two tasks, five seeds; cp lacks seed 4 on esol."""
    cells = grid()
    save(tmp_path, [cell for cell in cells if (cell.method, cell.task, cell.seed) != ("cp", TASKS[1], 4)])
    plan(tmp_path, cells, ["finetune", "cp", "tapweight", "tapweight-null"], TASKS)
    return tmp_path


def scores(method: str, task: str) -> list[float]:
    return [cell.score() for cell in grid() if (cell.method, cell.task) == (method, task)]


def test_a_task_by_hand(folder: Path) -> None:
    (found,) = versus([folder], "tapweight", "cp")
    assert (found.protocol, found.rows, [one.table.task for one in found.tasks]) == (
        "small",
        ("tapweight", "cp"),
        TASKS,
    )
    one = found.tasks[0]
    a, b = np.array(scores("tapweight", TASKS[0])), np.array(scores("cp", TASKS[0]))
    assert one.comparison.effect == pytest.approx(a.mean() - b.mean())
    pooled = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    assert one.comparison.effect_sd == pytest.approx((a.mean() - b.mean()) / pooled)
    reference = stats.permutation_test((a, b), lambda x, y: x.mean() - y.mean(), n_resamples=np.inf)
    assert one.comparison.p == pytest.approx(reference.pvalue)
    assert one.comparison.probability_better == np.mean([x > y for x, y in itertools.product(a, b)])
    error = 1 - np.mean(scores("finetune", TASKS[0]))
    assert one.comparison.effect_error_removed == pytest.approx((a.mean() - b.mean()) / error)
    assert (one.comparison.family_size, one.comparison.p_holm) == (1, one.comparison.p)
    assert (one.comparison.exact, one.comparison.splits) == (True, 252)
    assert one.comparison.interval is not None
    assert one.comparison.interval.low < one.comparison.effect < one.comparison.interval.high
    assert one.no_marks is None


def test_seeds_stand_side_by_side(folder: Path) -> None:
    (found,) = versus([folder], "tapweight", "cp", "esol")
    (one,) = found.tasks
    a, b = scores("tapweight", TASKS[1]), scores("cp", TASKS[1])
    assert [seed.scores for seed in one.seeds] == [*zip(a[:4], b[:4], strict=True), (a[4], None)]
    assert [seed.gain for seed in one.seeds[:4]] == pytest.approx([y - x for x, y in zip(a[:4], b[:4], strict=True)])
    assert one.seeds[4].gain is None  # smaller is better, so the gain is B - A
    assert one.seeds[4].identities[1] is None
    assert (one.comparison.statistic, one.comparison.incomplete) == ("Welch t", True)
    assert one.comparison.effect > 0
    assert found.together == []  # a single task


def test_the_order_turns_the_sign_alone(folder: Path) -> None:
    (one,), (other,) = versus([folder], "tapweight", "cp"), versus([folder], "cp", "tapweight")
    for first, second in zip(one.tasks, other.tasks, strict=True):
        assert first.comparison.effect == pytest.approx(-second.comparison.effect)
        assert first.comparison.p == pytest.approx(second.comparison.p)
        assert first.needed == second.needed
        assert first.comparison.probability_better == pytest.approx(1 - second.comparison.probability_better)
    assert one.together[0].comparison.p == other.together[0].comparison.p


def test_over_tasks(tmp_path: Path) -> None:
    tasks = [f"moleculenet:{name}" for name in ("bace", "bbbp", "esol")]
    save(tmp_path, large(("finetune", "tapweight"), 4, tasks, updates=2))
    save(tmp_path, large(("finetune", "tapweight"), 4, ["glue:rte", "glue:cola", "tartan:aclarc"], updates=2))
    (found,) = versus([tmp_path], "tapweight", "finetune")
    assert [(one.name, len(one.comparison.tasks)) for one in found.together] == [
        ("glue", 2),
        ("moleculenet", 3),
        ("all", 6),
    ]
    over = found.together[1]
    gains = [task.comparison.effect_error_removed for task in found.tasks if task.table.suite == "moleculenet"]
    assert over.comparison.difference == pytest.approx(np.mean([gain or 0.0 for gain in gains]))
    assert over.comparison.p == pytest.approx(0.25)  # all three of one sign: 2 of 8 patterns
    assert over.no_marks is not None
    assert found.together[2].comparison.sign_flip.splits == 64
    assert found.no_scale is None


def test_no_common_scale_without_finetuning(tmp_path: Path) -> None:
    save(tmp_path, [cell for cell in grid() if cell.method != "finetune"])
    (found,) = versus([tmp_path], "tapweight", "cp")
    assert found.together == []
    assert "fine-tuning" in (found.no_scale or "")
    assert found.tasks[0].comparison.effect_error_removed is None


def test_a_control_can_be_compared(folder: Path) -> None:
    (found,) = versus([folder], "tapweight", "tapweight-null")
    assert found.tasks[0].comparison.p is not None


def test_a_protocol_without_significance_has_no_p(tmp_path: Path) -> None:
    save(tmp_path, [*grid(5), *grid(5, protocol="smoke", marks=False)])
    small, smoke = versus([tmp_path], "tapweight", "cp")
    assert (small.protocol, smoke.protocol) == ("small", "smoke")
    assert small.tasks[0].comparison.p is not None
    (one, two) = smoke.tasks
    assert (one.comparison.p, one.comparison.p_focus_better, one.comparison.interval) == (None, None, None)
    assert "no significance" in (two.no_marks or "")
    (together,) = smoke.together
    assert (together.comparison.p, together.comparison.p_stratified) == (None, None)
    assert "no significance" in (together.no_marks or "")


@pytest.mark.parametrize("effect", [0.3, 0.7, 1.2, -0.7])
def test_needed_seeds_are_the_fewest_that_find_it(effect: float) -> None:
    needed = needed_seeds(effect, 1.0, paired=False)
    assert needed is not None
    enough, fewer = smallest_effect(1.0, needed, 1), smallest_effect(1.0, needed - 1, 1)
    assert enough is not None
    assert fewer is not None
    assert enough <= abs(effect) < fewer
    # The units do not matter.
    assert needed_seeds(50 * effect, 50.0, paired=False) == needed


def test_needed_seeds_at_the_ends(folder: Path) -> None:
    assert needed_seeds(100.0, 1.0, paired=False) == 4  # the exact test cannot do with fewer
    assert needed_seeds(100.0, 1.0, paired=True) == 6
    assert needed_seeds(1.0, 0.0, paired=False) == 4
    assert needed_seeds(1e-9, 1.0, paired=False) is None
    assert needed_seeds(0.0, 1.0, paired=False) is None
    task = versus([folder], "tapweight", "finetune")[0].tasks[0]
    assert task.comparison.effect_sd is not None
    assert task.needed == needed_seeds(task.comparison.effect_sd, 1.0, paired=False)


def test_paired_scores(tmp_path: Path) -> None:
    """The split decides most of a score, so that pairs see what samples do not."""
    generator = np.random.default_rng(0)
    splits, noise = generator.normal(0.8, 0.05, 8), generator.normal(0, 0.004, (2, 8))
    for method, gain, row in (("finetune", 0.0, 0), ("cp", 0.01, 1)):
        scores = splits + gain + noise[row]
        save(tmp_path, [record(method, "glue:rte", s, scores[s], paired=True, split_checksum=f"{s}") for s in range(8)])
    task = versus([tmp_path], "cp", "finetune")[0].tasks[0]
    gains = noise[1] + 0.01 - noise[0]
    assert [seed.gain for seed in task.seeds] == pytest.approx(gains)
    assert (task.comparison.pairing, task.comparison.splits) == ("paired", 256)
    flips = [abs(np.dot(signs, gains)) >= abs(gains.sum()) - 1e-12 for signs in itertools.product((1, -1), repeat=8)]
    assert task.comparison.p == pytest.approx(np.mean(flips))
    assert task.needed == needed_seeds(gains.mean(), np.std(gains, ddof=1), paired=True)
    assert task.comparison.seed_correlation is not None
    assert task.comparison.seed_correlation > 0.9


@pytest.mark.parametrize(
    ("first", "second", "task", "said"),
    [
        ("tapwight", "cp", None, r"^A: 'tapwight' is no method .* did you mean tapweight"),
        ("cp", "dapt", None, r"^B: 'dapt' is no method with a record here; .*known: cp, finetune, "),
        ("cp", "cp", None, r"^A and B: expected two methods"),
        ("cp", "tapweight", "bac", r"^--task: 'bac' is no task .* did you mean bace"),
        ("cp", "tapweight", "moleculenet:bac", r"did you mean moleculenet:bace"),
    ],
)
def test_wrong_names(folder: Path, first: str, second: str, task: str | None, said: str) -> None:
    with pytest.raises(RequestError, match=said):
        versus([folder], first, second, task)


def test_methods_that_share_no_task(tmp_path: Path) -> None:
    save(tmp_path, [record("cp", "demo:a", 0, 0.8), record("tapt", "demo:b", 0, 0.8), failure("cp", "demo:b", 0)])
    with pytest.raises(RequestError, match="no record on one task under one protocol"):
        versus([tmp_path], "cp", "tapt")


def test_a_method_with_two_backbones_needs_its_row(tmp_path: Path) -> None:
    cells = [record("cp", "demo:a", 0, 0.8, backbone=name) for name in ("image", "graph")]
    save(tmp_path, [*cells, record("finetune", "demo:a", 0, 0.8, backbone="image")])
    with pytest.raises(RequestError, match=r"^A: 'cp' ran with several backbones; .*cp \(graph\), cp \(image\)"):
        versus([tmp_path], "cp", "finetune")
    (found,) = versus([tmp_path], "cp (image)", "cp (graph)")
    assert found.rows == ("cp (image)", "cp (graph)")


def test_folders_are_merged(tmp_path: Path) -> None:
    save(tmp_path / "a", [cell for cell in grid() if cell.method == "cp"])
    save(tmp_path / "b", [cell for cell in grid() if cell.method == "tapweight"])
    (found,) = versus([tmp_path / "a", tmp_path / "b"], "tapweight", "cp", TASKS[0])
    assert found.tasks[0].comparison.n_other == 5
