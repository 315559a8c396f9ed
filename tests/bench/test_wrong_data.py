"""Labels that allow no training or no score, weights off the simplex, losses that break: one clear line each."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.plan import pairs, parse_methods
from bench.records import Failure, scan
from methods import METHODS
from tasks.catalogue import expand
from tasks.image.problem import ImageProblem
from tests.bench.commandline import SMALL, Result, bench, distribution, refused, run

# The scaffold split puts the two molecules of the first ring into test, of the second into validation.
RINGS = ["C1CC1", "C1CCC1", "C1CCCC1", "c1ccccc1", "c1ccncc1", "c1ccoc1", "c1ccsc1", "C1CCOC1", "C1CCNC1", "C1CCSC1"]
TEST, VALIDATION = 0, 1
OBJECTIVES = "cluster-2, cluster-3, cluster-4, jigsaw, mask-contrastive"

Label = Callable[[int, int], str]  # of molecule 0 or 1 of a ring


def sound(ring: int, molecule: int) -> str:
    return str(molecule)


FILES: dict[str, dict[str, Label]] = {
    "good": {"a": sound},
    "one-class-validation": {"a": lambda ring, m: "1" if ring == VALIDATION else sound(ring, m)},
    "one-class-test": {"a": lambda ring, m: "0" if ring == TEST else sound(ring, m)},
    "blank-validation": {"a": lambda ring, m: "" if ring == VALIDATION else sound(ring, m)},
    "blank-training": {"a": lambda ring, m: sound(ring, m) if ring in (TEST, VALIDATION) else ""},
    "one-usable": {"a": lambda ring, m: "1" if ring == VALIDATION else sound(ring, m), "b": sound},
    "none-usable": {
        "a": lambda ring, m: "1" if ring == VALIDATION else sound(ring, m),
        "b": lambda ring, m: "0" if ring == VALIDATION else sound(ring, m),
    },
    "flat": {"a": lambda ring, m: str(0.5 * m) if ring in (TEST, VALIDATION) else "2.5"},
    "blank-values": {"a": lambda ring, m: "" if ring == VALIDATION else str(ring + m)},
}
REGRESSION = ("flat", "blank-values")


@pytest.fixture(scope="module", autouse=True)
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A mirror with the file of every task of the suite "tiny", and a cache of this module's own."""
    folder = tmp_path_factory.mktemp("tiny")
    files = folder / "mirror" / "tiny"
    files.mkdir(parents=True)
    entries = ["name: tiny", "title: Tiny", "corpus: demo", "tasks:"]
    for name, targets in FILES.items():
        rows = [",".join(["smiles", *targets])]
        for number, ring in enumerate(RINGS):
            for molecule in (0, 1):
                labels = [label(number, molecule) for label in targets.values()]
                rows.append(",".join([f"C{'C' * molecule}{ring}", *labels]))
        (files / f"{name}.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
        kind, metric = ("regression", "rmse") if name in REGRESSION else ("classification", "roc_auc")
        entries.append(
            f"  {name}: {{title: {name}, kind: {kind}, metric: {metric}, file: tiny/{name}.csv.gz, "
            f"targets: [{', '.join(targets)}], rows: {len(rows) - 1}}}"
        )
    (folder / "tiny.yaml").write_text("\n".join(entries))
    entry = "[bench.suites]\ntiny = tiny_suite:SUITE"
    module = f"SUITE = {str(folder / 'tiny.yaml')!r}"
    with pytest.MonkeyPatch.context() as patch, distribution(folder / "site", entry, tiny_suite=module):
        patch.setenv("BENCH_HOME", str(folder / "home"))
        yield folder / "mirror"


def tiny(mirror: Path, out: Path, *arguments: str, methods: str = "finetune", task: str = "good") -> Result:
    return run(out, "--mirror", mirror, *arguments, methods=methods, tasks=f"tiny:{task}")


def trained(mirror: Path) -> set[Path]:
    """The shared stages in the cache."""
    return set((mirror.parent / "home" / "artifacts").glob("*"))


@pytest.mark.parametrize(
    ("task", "part"),
    [
        (
            "one-class-validation",
            "expected a target with both classes in the validation part, got none of 1 (0 labels 0 and 2 labels 1)",
        ),
        ("one-class-test", "expected a target with both classes in the test part, got none of 1 (2 labels 0 and 0"),
        (
            "blank-validation",
            "expected a target with both classes in the validation part, got none of 1 (0 labels 0 and 0 labels 1)",
        ),
        (
            "none-usable",
            "expected a target with both classes in the validation part, got none of 2 (2 labels 0 and 2 labels 1)",
        ),
        ("blank-training", "expected labels in the training part, got none for its 16 molecules"),
        ("blank-values", "expected labels in the validation part, got none for its 2 molecules"),
        ("flat", "expected training labels of 'a' that vary, got 1 different value"),
    ],
)
def test_labels_that_allow_no_training_or_no_score(mirror: Path, tmp_path: Path, task: str, part: str) -> None:
    before = trained(mirror)
    refused(tiny(mirror, tmp_path / "run", task=task), 2, f"tiny:{task}: {part}")
    assert not (tmp_path / "run" / "plan.json").exists()
    assert trained(mirror) == before
    # Now that the data is prepared, planning alone says the same.
    planned = bench("plan", "--methods", "tapweight", "--tasks", f"tiny:{task}", "--protocol", "smoke", *SMALL)
    refused(planned, 2, f"tiny:{task}: {part}")


def test_one_usable_target_is_enough(mirror: Path, tmp_path: Path) -> None:
    result = tiny(mirror, tmp_path, task="one-usable")
    assert result.code == 0, result.err
    (record,) = scan(tmp_path).records
    assert record.scores["best"]["val"]["targets_used"] == 1
    assert record.scores["best"]["test"]["targets_used"] == 2


def test_an_empty_validation_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight molecules of one scaffold fill training, and two of another are too many for validation."""
    rows = [f"{'C' * k}c1ccccc1,{k % 2}" for k in range(1, 9)] + ["C1CCCCC1,0", "CC1CCCCC1,1"]
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "a.csv.gz").write_bytes(gzip.compress("\n".join(["smiles,a", *rows]).encode()))
    entry = "a: {title: A, kind: classification, metric: roc_auc, file: whole/a.csv.gz, targets: [a], rows: 10}"
    (tmp_path / "whole.yaml").write_text(f"name: whole\ntitle: Whole\ncorpus: demo\ntasks:\n  {entry}\n")
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    module = f"SUITE = {str(tmp_path / 'whole.yaml')!r}"
    with distribution(tmp_path / "site", "[bench.suites]\nwhole = whole_suite:SUITE", whole_suite=module):
        result = run(tmp_path / "run", "--mirror", tmp_path, tasks="whole")
    refused(result, 2, "whole:a: expected molecules in all parts of the scaffold split, got train 8, val 0, test 2")
    assert not (tmp_path / "home" / "artifacts").exists()


@pytest.mark.parametrize(
    ("weights", "parts"),
    [
        ("[0.5, 0.6]", ["stage 'continued'", "weights: expected 5, in the order of the objectives, got 2", OBJECTIVES]),
        (
            "[0.2, 0.2, 0.2, 0.2, 0.3]",
            ["weights: expected none below 0 and a sum of 1", "[0.2, 0.2, 0.2, 0.2, 0.3]"],
        ),
        ("[-0.2, 0.3, 0.3, 0.3, 0.3]", ["weights: expected none below 0 and a sum of 1", "[-0.2, 0.3"]),
        ("[0.2, 0.2, 0.2, 0.2, a]", ["--set: cp.weights.4:", "number", "got 'a'"]),
        ("[0.2, 0.2, 0.2, 0.2, .nan]", ["--set: cp.weights", "finite", "nan"]),
        ("0.2", ["--set: cp.weights:", "got 0.2"]),
    ],
)
def test_weights_off_the_simplex(mirror: Path, tmp_path: Path, weights: str, parts: list[str]) -> None:
    before = trained(mirror)
    refused(tiny(mirror, tmp_path, "--set", f"cp.weights={weights}", methods="cp"), 2, *parts)
    assert trained(mirror) == before
    assert not scan(tmp_path).failures


def test_weights_on_the_simplex(mirror: Path, tmp_path: Path) -> None:
    result = tiny(mirror, tmp_path, "--set", "cp.weights=[0.2, 0.2, 0.2, 0.2, 0.2]", methods="cp")
    assert result.code == 0, result.err
    (record,) = scan(tmp_path).records
    assert record.settings["method"]["weights"] == [0.2] * 5


def test_an_idle_objective_that_does_not_exist(mirror: Path, tmp_path: Path) -> None:
    result = tiny(mirror, tmp_path, "--set", "tapweight.idle=[jigsa]", methods="tapweight")
    refused(result, 2, "idle: 'jigsa' is no objective", "did you mean jigsaw?", OBJECTIVES)


def test_all_methods(mirror: Path) -> None:
    assert bench("prepare", "--tasks", "tiny:good", "--protocol", "smoke", *SMALL, "--mirror", mirror).code == 0
    result = bench("plan", "--methods", "all", "--tasks", "tiny:good", "--protocol", "smoke", "--seeds", "0-1", *SMALL)
    assert result.code == 0, result.err
    fitting, skipped = pairs(METHODS.names(), expand("tiny:good"))
    assert {name for name, _, _ in fitting} | {entry["method"] for entry in skipped} == set(METHODS.names())
    assert f"cells: {2 * len(fitting)} = 0 done + {2 * len(fitting)} to run" in result.out
    assert result.out.count("skipped: ") == len(skipped)
    assert parse_methods("all") == parse_methods("all,cp") == METHODS.names()


def test_a_method_without_its_extra_is_skipped_with_what_installs_it(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needy = replace(METHODS.get("cp"), name="needy", extra="more", needs=("absent_module",))
    monkeypatch.setitem(METHODS._entries, "needy", needy)
    reason = "needy needs absent_module, not installed here; pip install 'bench-reweighting[more]'"
    result = tiny(mirror, tmp_path / "both", methods="needy,finetune")
    assert result.code == 0, result.err
    assert f"skipped: needy on tiny:good: {reason}" in result.err
    assert reason in (tmp_path / "both" / "leaderboard.md").read_text()
    assert [record.method for record in scan(tmp_path / "both").records] == ["finetune"]
    refused(tiny(mirror, tmp_path / "alone", methods="needy"), 2, f"nothing to run: {reason}")


def broken_from(call: int, value: float, constant: bool = False) -> Callable[..., list[Tensor]]:
    """The objectives with a broken jigsaw from a call on, counted from 1: times ``value``, or ``value`` itself."""
    real, calls = ImageProblem.objective_terms, iter(range(1, 10**6))

    def terms(self: ImageProblem, *arguments: Any, **named: Any) -> list[Tensor]:
        found = real(self, *arguments, **named)
        if next(calls) >= call:
            place = self.objectives.index("jigsaw")
            found[place] = torch.full_like(found[place], value) if constant else found[place] * value
        return found

    return terms


def failed(mirror: Path, out: Path, method: str, *arguments: str) -> Failure:
    """The failure that a run of ``method`` leaves in place of a record."""
    result = tiny(mirror, out, *arguments, methods=method)
    assert result.code == 1
    assert "Traceback" not in result.err
    assert not scan(out).records
    (failure,) = scan(out).failures
    assert failure.reason in " ".join((out / "leaderboard.md").read_text().replace("\\|", "|").split())
    return failure


# Before the steps, one call looks for constant losses; each step makes one.
@pytest.mark.parametrize(
    ("method", "stage"), [("tapweight", "tri-level"), ("tapweight-blo", "bi-level"), ("cp", "continued")]
)
@pytest.mark.parametrize(("value", "shown"), [(float("nan"), "nan"), (float("inf"), "inf")])
def test_a_loss_that_is_not_finite_in_mid_run(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, stage: str, value: float, shown: str
) -> None:
    options = ("--set", f"continued.steps={3 if shown == 'nan' else 5}")  # the shared stages of each are its own
    assert tiny(mirror, tmp_path / "start").code == 0
    with monkeypatch.context() as during:
        during.setattr(ImageProblem, "objective_terms", broken_from(3, value))
        failure = failed(mirror, tmp_path / "run", method, *options)
    assert failure.reason.endswith(f"LossError: {stage}, step 1: the loss 'jigsaw' is {shown}")
    assert tiny(mirror, tmp_path / "run", *options, methods=method).code == 0
    assert not scan(tmp_path / "run").failures


def test_an_end_task_loss_that_is_not_finite(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = ImageProblem.outputs_loss
    assert tiny(mirror, tmp_path / "start").code == 0
    monkeypatch.setattr(ImageProblem, "outputs_loss", lambda *arguments: real(*arguments) * float("nan"))
    assert failed(mirror, tmp_path / "run", "finetune").reason == "LossError: finetune, step 0: the loss 'train' is nan"


@pytest.mark.parametrize(("method", "stage"), [("tapweight", "tri-level"), ("cp", "continued")])
def test_a_constant_objective(
    mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, stage: str
) -> None:
    assert tiny(mirror, tmp_path / "start").code == 0
    monkeypatch.setattr(ImageProblem, "objective_terms", broken_from(1, 0.7, constant=True))
    options = ("--set", "continued.steps=4")
    failure = failed(mirror, tmp_path / "run", method, *options)
    assert f"LossError: {stage}, step 0: the loss 'jigsaw' is constant at 0." in failure.reason
    if method == "tapweight":  # declared, it is no mistake
        idle = tiny(mirror, tmp_path / "idle", *options, "--set", "tapweight.idle=[jigsaw]", methods=method)
        assert idle.code == 0, idle.err
