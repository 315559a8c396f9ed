"""The cache of tokens: the same numbers with and without it, whole or made anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.text.tokens import Tokens, cached_tokens, tokenise
from tests.tasks.text.small import problem, sentences, tokenizer

TEXTS = ("", *sentences(40, seed=7), "ünï 東京", "")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    return tmp_path


def rows(tokens: Tokens) -> list[list[int]]:
    return [tokens[row].tolist() for row in range(len(tokens))]


def test_the_cache_holds_what_the_tokenizer_says(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = tokenizer().encode(TEXTS)
    assert rows(tokenise(tokenizer(), TEXTS)) == expected
    assert rows(cached_tokens(tokenizer(), TEXTS)) == expected
    monkeypatch.setattr("tasks.text.tokens.tokenise", lambda *_: pytest.fail("tokenised again"))
    again = cached_tokens(tokenizer(), TEXTS)
    assert rows(again) == expected
    assert again.lengths.tolist() == [len(row) for row in expected]
    assert isinstance(again._ids, np.memmap)  # nothing is read before it is asked for
    assert again._ids.dtype == np.uint16


def test_other_texts_and_other_tokenizers_have_files_of_their_own(home: Path) -> None:
    for texts in (("ab", "c"), ("a", "bc"), ("abc",), ("ab", "c", ""), ()):
        assert rows(cached_tokens(tokenizer(), texts)) == tokenizer().encode(texts)
    assert len(list(home.glob("tokens/*.ids"))) == 5
    assert not list(home.glob("tokens/.*"))


@pytest.mark.parametrize("ending", [".ids", ".ends.npy"])
@pytest.mark.parametrize("damage", [b"", b"\x01\x02\x03", None])
def test_what_is_missing_or_cut_short_is_made_anew(home: Path, ending: str, damage: bytes | None) -> None:
    cached_tokens(tokenizer(), TEXTS)
    (path,) = home.glob(f"tokens/*{ending}")
    path.unlink() if damage is None else path.write_bytes(damage)
    assert rows(cached_tokens(tokenizer(), TEXTS)) == tokenizer().encode(TEXTS)
    assert rows(cached_tokens(tokenizer(), TEXTS)) == tokenizer().encode(TEXTS)


@pytest.mark.parametrize("ending", [".ids", ".ends.npy"])
def test_one_wrong_bit_is_noticed(home: Path, ending: str) -> None:
    cached_tokens(tokenizer(), TEXTS)
    (path,) = home.glob(f"tokens/*{ending}")
    whole = bytearray(path.read_bytes())
    for place in (len(whole) // 2, len(whole) - 16):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert rows(cached_tokens(tokenizer(), TEXTS)) == tokenizer().encode(TEXTS)
        assert path.read_bytes() == whole


def test_several_processes_may_make_it_at_once(home: Path) -> None:
    tokenizer().backend.save(str(home / "tokenizer.json"))
    code = (
        "from tokenizers import Tokenizer\n"
        "from tasks.text.tokenizer import wrap\n"
        "from tasks.text.tokens import cached_tokens\n"
        f"texts = {TEXTS!r}\n"
        f"tokens = cached_tokens(wrap(Tokenizer.from_file({str(home / 'tokenizer.json')!r})), texts)\n"
        "print([tokens[row].tolist() for row in range(len(texts))])\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = [process.communicate()[0].strip() for process in running]
    assert found == [str(tokenizer().encode(TEXTS))] * 3
    assert len(list(home.glob("tokens/*"))) == 2


def test_a_problem_is_the_same_with_and_without_the_cache(home: Path) -> None:
    results = []
    for tokens in (tokenise, cached_tokens, cached_tokens):  # without, made, read
        made, _ = problem(tokens=tokens)
        encoder, heads, head = made.encoder(), made.objective_heads(), made.downstream_head()
        torch.manual_seed(0)
        batch = made.stream("corpus", 8, "p").batch(3)
        loss = made.objective_losses(encoder, heads, batch).sum() + made.downstream_loss(
            encoder, head, made.stream("train", 8, "t").batch(1)
        )
        loss.backward()
        gradient = torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None])
        results.append((loss.detach(), gradient, torch.tensor(made.score(encoder, head)["accuracy"])))
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))
    assert list(home.glob("tokens/*.ids"))
