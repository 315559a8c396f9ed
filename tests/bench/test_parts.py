"""Methods made of other methods: whose sections they read, and what they share with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import artifacts
from bench.commands.catalogue import describe
from bench.errors import RequestError
from bench.protocol import Resolved
from bench.protocol_files import load
from bench.records import scan
from methods import METHODS
from methods.settings import ContinuedSettings, PhaseSettings, TriLevelSettings
from methods.stages.continued import Continued
from tasks.catalogue import get
from tests.bench import short


def resolve(method: str, *assignments: str) -> Resolved:
    return load("smoke", assignments).resolve(METHODS.get(method), get("demo:rings"), "resnet18")


def test_the_sections_of_the_parts_are_read_with_their_origins() -> None:
    resolved = resolve("cp-frozen", "tapweight.rate=0.7", "dapt.steps=3")
    (section,) = resolved.settings.others.values()
    assert isinstance(section, TriLevelSettings)
    assert section.rate == 0.7
    assert section == resolve("tapweight", "tapweight.rate=0.7").settings.method
    assert resolved.origins["tapweight.rate"] == "--set"
    assert resolved.origins["tapweight.gamma"] == "smoke: defaults"
    assert "dapt.steps" not in resolved.origins
    assert resolve("dapt-tapt", "dapt.steps=3").settings.others.keys() == {"dapt", "tapt"}
    assert resolve("cp").settings.others == {}
    # The part may be chosen by an option of the method's own.
    assert resolve("cp-frozen", "cp-frozen.of=dwa").settings.others.keys() == {"dwa"}
    assert resolve("cp-frozen", "cp-frozen.of=rlw").settings.others == {}


def test_they_are_shown() -> None:
    shown = describe(["protocol", "smoke"], "dapt-tapt", "demo:rings", ("tapt.steps=5",))
    lines = {line.split()[0]: line.split()[1:] for line in shown.splitlines() if line.split()}
    assert lines["tapt.steps"] == ["5", "--set"]
    assert lines["dapt.steps"] == ["none", "default", "of", "the", "code"]
    assert not any(key.startswith(("others", "method")) for key in lines)


@pytest.mark.parametrize(
    ("method", "assignment", "parts"),
    [
        ("cp-frozen", "tapweight.rate=-1", ["--set: tapweight.rate: ", "got -1"]),
        ("dapt-tapt", "tapt.steps=0", ["--set: tapt.steps: ", "got 0"]),
        ("cp-frozen", "cp-frozen.of=tapwieght", ["cp-frozen.of: ", "did you mean tapweight", "got 'tapwieght'"]),
        ("cp-frozen", "cp-frozen.of=cp", ["cp-frozen.of: expected a method that learns weights, got 'cp'"]),
        ("cp-frozen", "cp-frozen.of=cp-frozen", ["cp-frozen.of: expected a method that learns weights"]),
    ],
)
def test_what_is_wrong_in_a_part_is_named_by_its_own_key(method: str, assignment: str, parts: list[str]) -> None:
    with pytest.raises(RequestError) as error:
        resolve(method, assignment)
    for part in parts:
        assert part in str(error.value)


def test_a_phase_changes_what_it_names() -> None:
    continued = load("small").resolve(METHODS.get("cp"), get("demo:rings"), "resnet18").settings.continued
    assert PhaseSettings().on(continued) == continued
    changed = PhaseSettings(steps=7).on(continued)
    assert changed == ContinuedSettings(steps=7, batch=continued.batch, optimiser=continued.optimiser)


def test_dapt_with_the_settings_of_cp_is_cp_and_shares_its_artifact() -> None:
    cp, dapt, longer = short.built("cp"), short.built("dapt"), short.built("dapt", assignments=("dapt.steps=5",))
    stored = [[artifacts.folder(link.stage.name, link.digest) for link in each.links] for each in (cp, dapt, longer)]
    assert stored[0] == stored[1]
    assert stored[1][0] == stored[2][0]
    assert stored[1][1] != stored[2][1]
    assert len({each.cell.identity for each in (cp, dapt, longer)}) == 3


def test_a_part_changes_the_identity_and_other_sections_do_not() -> None:
    base = short.built("cp-frozen").cell
    assert short.built("cp-frozen", assignments=("tapweight.rate=0.3",)).cell.identity != base.identity
    assert short.built("cp-frozen", assignments=("cp-frozen.of=tapweight-null",)).cell.identity != base.identity
    assert short.built("cp-frozen", assignments=("cp-frozen.batch=8",)).cell.identity != base.identity
    assert short.built("cp-frozen", assignments=("dapt.steps=3", "search.trials=3")).cell == base


def test_tapt_starts_where_dapt_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = Continued.run, []

    def watched(self: Continued, problem: Any, start: Any, context: Any) -> Any:
        result = real(self, problem, start, context)
        seen.append((self.name, self.source, start, result.weights))
        return result

    monkeypatch.setattr(Continued, "run", watched)
    (outcome,) = short.run(tmp_path, "dapt-tapt", (11,))
    assert outcome.ok, outcome.traceback
    first, second = seen[-2:]
    assert [(name, source) for name, source, _, _ in (first, second)] == [("continued", "domain"), ("tapt", "task")]
    for part in ("encoder", "heads"):
        assert all((first[3][part][name] == tensor).all() for name, tensor in second[2][part].items())
    (record,) = scan(tmp_path).records
    assert record.seconds.keys() == {"tapt", "finetune", "score"}
    assert record.shared_seconds.keys() == {"start", "continued"}
    assert record.settings["others"].keys() == {"dapt", "tapt"}
