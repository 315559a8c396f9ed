"""YAML of users: plain values, or one line that says what is wrong; never a value dropped in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import RequestError
from bench.files import parse_yaml
from bench.protocol_files import load
from slurm import profile

HEAD = "name: mine\nbase: smoke\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("3", 3),
        ("1.5e-3", 0.0015),
        ("{a: [1, two], b: null}", {"a": [1, "two"], "b": None}),
        ("a: &x {k: 1}\nb: *x\nc: {<<: *x, k: 2}", {"a": {"k": 1}, "b": {"k": 1}, "c": {"k": 2}}),
    ],
)
def test_plain_values(text: str, value: object) -> None:
    assert parse_yaml(text, "there") == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1", "line 1: expected ',' or ']'"),
        ("a: 1\nb: !!python/name:os.system x", "line 2: could not determine a constructor"),
        ("2024-13-45", "month must be in 1..12"),
        ("0b_", "invalid literal"),
        ("!!bool perhaps", "a value does not fit its tag"),
        ("!!timestamp noon", "a value does not fit its tag"),
        ("!!int ''", "a value does not fit its tag"),
        ("[" * 3000, "too many brackets"),
        ("0x" + "f" * 5000, "at most 100 digits, got one of 5002"),
        ("a: 1\nb: {c: 1, c: 2}", "line 2: expected each key once, got 'c' twice"),
        ("a: &a [*a]", "line 1: expected no alias to what it is a part of"),
        ("a: \x00", "special characters are not allowed"),
        ("1\n---\n2", "line 2: but found another document"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(RequestError) as error:
        parse_yaml(text, "there")
    assert str(error.value).startswith("there: ")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("about: 2024-13-45", "expected YAML: month must be in 1..12"),
        ("defaults: &a {finetune: *a}", "expected no alias to what it is a part of"),
        ("defaults: {finetune: {epochs: 1}}\ndefaults: {finetune: {batch: 8}}", "got 'defaults' twice"),
        ("assignments: {finetune.epochs: 1}", "'assignments' is not known; known: about, base, defaults, marks"),
        ("bass: small", "did you mean base?"),
        ("3: small", "'3' is not known"),
    ],
)
def test_a_protocol_file_drops_nothing_in_silence(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(HEAD + text)
    with pytest.raises(RequestError) as error:
        load(str(path))
    assert str(error.value).startswith(f"protocol {path}: ")
    assert part in str(error.value)


def test_a_profile_is_read_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("cpus: 1\ncpus: 2\n")
    with pytest.raises(RequestError, match=r"profile .*mine.yaml: expected YAML: line 1: .* 'cpus' twice"):
        profile.load(str(path))
    with pytest.raises(RequestError, match="--slurm-set: expected a YAML value for partition, got '2024-13-45': month"):
        profile.load("a100", ["partition=2024-13-45"])
    with pytest.raises(RequestError, match=r"--slurm-set: memory_gb: .*finite"):
        profile.load("a100", ["memory_gb=inf"])
