"""The tokenizers: trained once on a corpus, or RoBERTa's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer as Backend
from tokenizers import models

from bench.errors import NotPreparedError, RequestError
from tasks.text.tokenizer import (
    SPECIAL,
    Tokenizer,
    describe_tokenizer,
    load_tokenizer,
    prepare_tokenizer,
    train,
    wrap,
)
from tests.tasks.protocol import text_settings
from tests.tasks.text.small import sentences, tokenizer

SETTINGS = text_settings(vocabulary=340)
MIXED = ("", " ", "Plain words.", "ünï cödé 東京 \U0001f600", "tab\tand  spaces", "<mask> and </s> are text", "x" * 300)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    return tmp_path


def prepared(checksum: str = "one") -> Tokenizer:
    return prepare_tokenizer(SETTINGS, checksum, sentences(300), suite="made")


def test_every_text_comes_back_and_no_text_makes_a_special_token() -> None:
    made = tokenizer()
    assert made.special == (0, 1, 2, 3, 4)
    assert (made.first, made.pad, made.last, made.mask) == (0, 1, 2, 4)
    assert made.vocabulary == 340
    for text, ids in zip(MIXED, made.encode(MIXED), strict=True):
        assert not set(ids) & set(made.special)
        assert made.backend.decode(ids) == text


def test_the_frame_is_that_of_roberta() -> None:
    backend = tokenizer().backend
    one, other = tokenizer().encode(["a river", "the king"])
    assert backend.encode("a river").ids == [0, *one, 2]
    assert backend.encode("a river", "the king").ids == [0, *one, 2, 2, *other, 2]


def test_the_same_corpus_gives_the_same_tokenizer_in_another_process() -> None:
    code = (
        "from tasks.text.tokenizer import train, wrap\n"
        "from tests.tasks.text.small import sentences\n"
        "print(wrap(train(sentences(300), 340)).checksum)\n"
    )
    found = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(2)]
    assert {done.stdout.strip() for done in found} == {tokenizer().checksum}
    assert wrap(train(sentences(300, seed=1), 340)).checksum != tokenizer().checksum
    assert wrap(train(sentences(300), 330)).checksum != tokenizer().checksum


def test_it_is_trained_once_for_each_corpus(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotPreparedError, match=r"tokenizer of made: no tokenizer at .*prepare --tasks made"):
        describe_tokenizer(SETTINGS, "one", suite="made")
    made = prepared()
    assert describe_tokenizer(SETTINGS, "one", suite="made") == {"checksum": made.checksum, "vocabulary": 340}
    assert load_tokenizer(SETTINGS, "one", suite="made") == made
    prepared("two")
    assert len(list(home.glob("tokenizers/*"))) == 2
    monkeypatch.setattr("tasks.text.tokenizer.train", lambda *_: pytest.fail("trained again"))
    assert prepared() == made
    assert load_tokenizer(SETTINGS, "one", suite="made").encode(MIXED) == tokenizer().encode(MIXED)


@pytest.mark.parametrize("damage", ["", "{}", "other"])
def test_a_damaged_tokenizer_is_found_and_mended(home: Path, damage: str) -> None:
    made = prepared()
    (path,) = home.glob("tokenizers/*/tokenizer.json")
    path.write_text(train(sentences(300, seed=1), 340).to_str() if damage == "other" else damage, encoding="utf-8")
    with pytest.raises(NotPreparedError, match=r"damaged|does not match its checksum"):
        load_tokenizer(SETTINGS, "one", suite="made")
    assert prepared() == made


def test_a_small_corpus_gives_fewer_tokens(home: Path) -> None:
    few = prepare_tokenizer(text_settings(vocabulary=5000), "few", ("aa bb",), suite="made")
    assert few.vocabulary < 300
    assert describe_tokenizer(text_settings(vocabulary=5000), "few", suite="made")["vocabulary"] == few.vocabulary


def test_special_tokens_are_asked_for() -> None:
    with pytest.raises(RequestError, match=r"expected the special tokens .*got none called <s>"):
        wrap(Backend(models.BPE({"a": 0}, [])))


def test_reading_what_is_stored_needs_no_torch(home: Path) -> None:
    prepared()
    code = (
        "import sys\n"
        "from tasks.text.tokenizer import describe_tokenizer\n"
        "from tests.tasks.protocol import text_settings\n"
        "print(describe_tokenizer(text_settings(vocabulary=340), 'one', suite='made')['vocabulary'])\n"
        "print({'torch', 'tokenizers', 'transformers'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["340", "set()"]


@pytest.mark.data
def test_roberta_s_own_numbers(home: Path, mirror: Path) -> None:
    settings = text_settings(tokenizer="roberta-base", vocabulary=50265)
    made = prepare_tokenizer(settings, "any", (), suite="glue", mirror=str(mirror))
    assert (made.vocabulary, made.first, made.pad, made.last, made.mask) == (50265, 0, 1, 2, 50264)
    # The numbers that the tests of the transformers library expect.
    assert made.encode(["Hello world! cécé herlolip"]) == [[31414, 232, 328, 740, 1140, 12695, 69, 46078, 1588]]
    assert load_tokenizer(settings, "another corpus", suite="glue") == made
    assert not set(made.encode(["<mask> <s>"])[0]) & set(made.special)


@pytest.mark.data
def test_other_files_than_roberta_s_are_refused(home: Path, mirror: Path, tmp_path: Path) -> None:
    settings, folder = text_settings(tokenizer="roberta-base"), tmp_path / "mirror" / "tokenizers" / "roberta-base"
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_bytes((mirror / "tokenizers/roberta-base/vocab.json").read_bytes())
    merges = (mirror / "tokenizers/roberta-base/merges.txt").read_text(encoding="utf-8").splitlines()
    for content in ("\n".join(merges[:-1]), "broken"):
        (folder / "merges.txt").write_text(content, encoding="utf-8")
        with pytest.raises(NotPreparedError, match=r"roberta-base: expected the vocab\.json .*, got others"):
            prepare_tokenizer(settings, "any", (), suite="glue", mirror=str(tmp_path / "mirror"))
    with pytest.raises(NotPreparedError, match=r"vocab\.json: not found"):
        prepare_tokenizer(settings, "any", (), suite="glue", mirror=str(tmp_path))
    prepare_tokenizer(settings, "any", (), suite="glue", mirror=str(mirror))  # what was refused is not kept


def test_the_special_tokens_have_roberta_s_order() -> None:
    assert SPECIAL == ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
