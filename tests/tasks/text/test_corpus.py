"""Unlabelled text: which sentences are taken, what is kept out, and what happens to damaged files."""

from __future__ import annotations

import gzip
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from bench.errors import NotPreparedError, RequestError
from bench.files import home
from tasks.catalogue import suites
from tasks.info import SuiteInfo, TaskInfo, TextFile
from tasks.text import corpus as module
from tasks.text.corpus import describe_corpus, domain_text, load_corpus, own_text, prepare_corpus
from tasks.text.demo import demo_sentences
from tasks.text.table import load_table, prepare_table
from tests.tasks.protocol import text_settings
from tests.tasks.text.made import TEST, TRAIN, task

SENTENCES = tuple(f"Sentence number {number}." for number in range(40))


@pytest.fixture(autouse=True)
def fresh_home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "mirror" not in request.fixturenames:
        monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with two files of sentences in place of the published ones, which hold labelled texts too."""
    folder = tmp_path / "mirror"
    (folder / "text").mkdir(parents=True)
    lines = [*SENTENCES[:10], "  FINE ", "Text 4", *SENTENCES[10:38]]
    for name, content in {"wiki": lines, "simcse": [f"Other {line}" for line in lines] + ["val"]}.items():
        (folder / "text" / f"{name}.gz").write_bytes(gzip.compress("".join(f"{line}\n" for line in content).encode()))
    monkeypatch.setattr(module, "WIKIPEDIA", TextFile(file="text/wiki.gz", sha256="", rows=40))
    monkeypatch.setattr(module, "SIMCSE", TextFile(file="text/simcse.gz", sha256="", rows=41))
    return folder


def suite(*tasks: TaskInfo) -> SuiteInfo:
    return SuiteInfo(name="own", title="Own", corpus="files", tasks=tasks)


def prepare(folder: Path, tasks: SuiteInfo, said: list[str] | None = None, **changes: Any) -> tuple[str, ...]:
    settings = text_settings(**changes)
    say = (said if said is not None else []).append
    prepare_corpus(tasks, settings, mirror=str(folder), download=False, say=say)
    corpus = load_corpus(tasks, settings)
    told = describe_corpus(tasks, settings)
    assert told == {key: value for key, value in corpus.meta.items() if key != "held_out"}
    assert told["sentences"] == len(corpus.sentences)
    return corpus.sentences


def test_held_out_texts_stay_out_whatever_their_case_and_white_space(made: Path) -> None:
    said: list[str] = []
    sentences = prepare(made, suite(task(made)), said, sentences=14)
    # "FINE" is a test text; "Text 4" a training row, which some seed takes for validation.
    assert sentences == SENTENCES[:12]
    assert said == ["corpus of own: 12 sentences of text/wiki.gz, 2 held-out ones dropped"]
    official = suite(task(made, TRAIN, TEST, "sentence\tlabel\nSentence number 3.\tno\n", folder="official"))
    kept = (*SENTENCES[:3], *SENTENCES[4:10], "Text 4", *SENTENCES[10:12])
    assert prepare(made, official, sentences=14) == kept


def test_both_texts_of_a_pair_stay_out(made: Path) -> None:
    header = "sentence\tother\tlabel\n"
    train = header + "".join(f"a{row}\tb{row}\t{'no' if row else 'yes'}\n" for row in range(9))
    pairs = suite(task(made, train, header + "x\tsentence NUMBER 7.\tno\n", second="other"))
    assert "Sentence number 7." not in prepare(made, pairs, sentences=40)


def test_the_seed_numbers_disjoint_blocks_and_a_prefix_is_the_first(made: Path) -> None:
    none = suite()
    assert prepare(made, none, sentences=10) == SENTENCES[:10]
    assert prepare(made, none, sentences=10, seed=2) == SENTENCES[18:28]
    blocks = [prepare(made, none, sentences=10, seed=seed) for seed in range(4)]
    assert len(set().union(*map(set, blocks))) == 40
    for changes in ({"sentences": 42}, {"sentences": 10, "seed": 4}, {"sentences": 41, "seed": 1}):
        with pytest.raises(
            RequestError, match=r"text.sentences: expected at most 40 .* or 41 with text.seed 0, got \d"
        ):
            prepare(made, none, **changes)


def test_simcses_sentences_are_taken_whole(made: Path) -> None:
    sentences = prepare(made, suite(), sentences=41)
    assert (sentences[0], sentences[-1], len(sentences)) == ("Other Sentence number 0.", "val", 41)


def test_tasks_that_cannot_be_had_are_named_and_change_nothing_unless_a_sentence_goes(made: Path) -> None:
    here = task(made, TRAIN, "sentence\tlabel\nnothing\tyes\nelse\tno\n")
    gone = task(made, TRAIN.replace("text", "other"), TEST, name="gone", folder="gone")
    (made / "gone" / "train.gz").rename(made / "train.gz")
    both, settings, said = suite(here, gone), text_settings(sentences=8), []
    first = prepare(made, both, said, sentences=8)
    assert said[0].endswith("; not held out, since not prepared: own:gone")
    before = describe_corpus(both, settings)
    (made / "train.gz").rename(made / "gone" / "train.gz")
    assert prepare(made, both, said, sentences=8) == first
    assert describe_corpus(both, settings) == before
    assert load_corpus(both, settings).meta["held_out"] == ["own:set", "own:gone"]
    # With the eleventh sentence, which the other task's test has, it does.
    assert "  FINE " not in prepare(made, both, sentences=14)


def test_a_wrong_file_of_another_task_of_the_suite_is_named_and_no_obstacle(made: Path) -> None:
    wrong = task(made, TRAIN, TEST.replace("yes", "odd"), name="wrong", folder="wrong")
    with pytest.raises(RequestError, match="label 'odd'"):
        prepare_table(wrong, mirror=str(made), download=False)
    said: list[str] = []
    prepare(made, suite(task(made, TRAIN, TEST), wrong), said, sentences=8)
    assert said[0].endswith("; not held out, since not prepared: own:wrong")


def test_a_task_prepared_later_asks_for_the_corpus_again(made: Path) -> None:
    here, gone = task(made), task(made, name="gone", folder="gone")
    (made / "gone" / "train.gz").rename(made / "train.gz")
    prepare(made, suite(here, gone), sentences=14)
    (made / "train.gz").rename(made / "gone" / "train.gz")
    prepare_table(gone, mirror=str(made), download=False)
    with pytest.raises(NotPreparedError, match=r"text corpus of own: not found .*python -m bench prepare --tasks own"):
        describe_corpus(suite(here, gone), text_settings(sentences=14))


def test_it_is_made_once_and_damage_is_mended(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, settings = suite(task(made)), text_settings(sentences=14)
    sentences = prepare(made, tasks, sentences=14)
    (path,) = home().glob("corpora/text-*/sentences.txt.gz")
    whole = path.read_bytes()
    for content in (b"", whole[:-9], gzip.compress(b"Other.\n")):
        path.write_bytes(content)
        with pytest.raises(
            NotPreparedError, match=r"text corpus of own: damaged .*python -m bench prepare --tasks own"
        ):
            load_corpus(tasks, settings)
        assert prepare(made, tasks, sentences=14) == sentences
    monkeypatch.setattr(module, "_lines", lambda *_: pytest.fail("made again"))
    assert prepare(made, tasks, sentences=14) == sentences
    path.with_name("meta.json").unlink()
    with pytest.raises(NotPreparedError, match="text corpus of own: not found"):
        describe_corpus(tasks, settings)


def test_the_demo_has_sentences_of_its_own(tmp_path: Path) -> None:
    demo, settings = suites()["demo"], text_settings(sentences=50)
    prepare_corpus(demo, settings, mirror=None, download=False, say=lambda _: None)
    assert load_corpus(demo, settings).sentences == demo_sentences(50, 0)


def test_own_text_is_the_training_rows_both_sides_without_held_out_texts(made: Path) -> None:
    header = "sentence\tother\tlabel\n"
    train = header + "a\tb\tno\nSHARED\tc\tyes\nd\tleaks \tno\na\te\tno\n"
    info = task(made, train, header + "Leaks\tx\tyes\n", header + "shared\ty\tno\n", second="other")
    prepare_table(info, mirror=str(made), download=False)
    assert own_text(load_table(info, 0)) == ("a", "b", "c", "d", "a", "e")


def test_own_text_of_a_seeded_split_leaves_the_validation_rows_of_this_seed(made: Path) -> None:
    info = task(made)
    prepare_table(info, mirror=str(made), download=False)
    for seed in range(3):
        table = load_table(info, seed)
        assert own_text(table) == tuple(f"text {row}" for row in table.train)


def test_domain_text_leaves_held_out_texts_and_blank_lines(made: Path) -> None:
    (made / "own").mkdir()
    content = b"one\n \nFine\ntext 3\ntwo\n"
    (made / "own" / "domain.gz").write_bytes(gzip.compress(content))
    val = "sentence\tlabel\nTWO\tno\n"
    info = task(
        made, TRAIN, TEST, val, domain={"file": "own/domain.gz", "sha256": sha256(content).hexdigest(), "rows": 4}
    )
    prepare_table(info, mirror=str(made), download=False)
    assert domain_text(info) == ("one", "text 3")
    assert domain_text(task(made)) == ()


def test_a_domain_of_other_lines_than_the_entry_says_is_refused(made: Path) -> None:
    (made / "own").mkdir()
    for content, rows, said in (
        (b"one\ntwo\n", 77, r"own:set: own/domain.gz: expected 77 rows with text, got 2; "),
        (b"one\n" * 2999 + b"na\xefve\n", 3000, r"own/domain.gz, line 3,000: expected UTF-8, got b'\\xefve"),
    ):
        (made / "own" / "domain.gz").write_bytes(gzip.compress(content))
        domain = {"file": "own/domain.gz", "sha256": sha256(content).hexdigest(), "rows": rows}
        with pytest.raises(NotPreparedError, match=said) as caught:
            prepare_table(task(made, domain=domain), mirror=str(made), download=False)
        assert "\n" not in str(caught.value)


def put_simcse(folder: Path, content: bytes) -> None:
    (folder / "text" / "simcse.gz").write_bytes(gzip.compress(content))


def test_a_file_of_simcse_that_is_cut_short_or_not_utf8_is_refused_and_read_anew_once_mended(made: Path) -> None:
    whole = gzip.decompress((made / "text" / "simcse.gz").read_bytes())
    lines = whole.splitlines(keepends=True)
    for content, said in (
        (b"".join(lines[:3]), r"text corpus of own: text/simcse.gz: expected 41 sentences from line 1 on, got 3; get"),
        (b"".join(lines[:40]), r"expected 41 sentences from line 1 on, got 40; get the whole file"),
        (b"".join([*lines[:7], b"caf\xe9\n", *lines[8:]]), r"text/simcse.gz, line 8: expected UTF-8, got b'\\xe9'"),
    ):
        put_simcse(made, content)
        with pytest.raises(NotPreparedError, match=said) as caught:
            prepare(made, suite(), sentences=41)
        assert "\n" not in str(caught.value)
        assert not list(home().glob("corpora/*/*"))
        assert not (home() / "data" / "text" / "simcse.gz").exists()
    put_simcse(made, whole)
    assert len(prepare(made, suite(), sentences=41)) == 41


def test_a_few_lines_of_simcse_may_be_missing_but_not_a_share(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SIMCSE", TextFile(file="text/simcse.gz", sha256="", rows=2000))
    put_simcse(made, b"".join(b"Line %d.\n" % number for number in range(1998)))
    assert len(prepare(made, suite(), sentences=2000)) == 1998
    put_simcse(made, b"".join(b"Line %d.\n" % number for number in range(1997)))
    with pytest.raises(NotPreparedError, match="expected 2,000 sentences from line 1 on, got 1,997"):
        prepare(made, suite(), sentences=2000)


def test_a_replaced_file_of_simcse_is_noticed_and_the_corpora_of_wikipedia_keep_their_names(made: Path) -> None:
    tasks = suite(task(made))
    first = prepare(made, tasks, sentences=41)
    prepare(made, tasks, sentences=14)
    settings = text_settings(sentences=14)
    before, named = describe_corpus(tasks, text_settings(sentences=41)), module._folder(tasks, settings)
    put_simcse(made, b"".join(b"Line %d.\n" % number for number in range(41)))
    assert prepare(made, tasks, sentences=41) == tuple(f"Line {number}." for number in range(41)) != first
    assert describe_corpus(tasks, text_settings(sentences=41))["checksum"] != before["checksum"]
    assert module._folder(tasks, settings) == named
    put_simcse(made, b"".join(f"{line}\n".encode() for line in first))
    assert prepare(made, tasks, sentences=41) == first
    (made / "text" / "simcse.gz").unlink()
    assert prepare(made, tasks, sentences=41) == first, "what the mirror lost stays"


def test_a_corpus_is_named_as_it_was_before_contents_were_known(made: Path) -> None:
    # Of an earlier version: a cache that it made still serves until it is prepared again.
    assert module._folder(suite(), text_settings(sentences=41)).name == "text-b13d73293eef19cb"
    assert module._folder(suite(), text_settings(sentences=14)).name == "text-d8ff1da57ad9d1c9"


def test_missing_sentences_say_what_else_there_is(made: Path) -> None:
    (made / "text" / "wiki.gz").unlink()
    with pytest.raises(
        NotPreparedError, match=r"text/wiki.gz: not found.*; it has no public address: --mirror .*=1000000$"
    ):
        prepare(made, suite(), sentences=14)


def test_a_table_counts_even_if_its_entry_cannot_be_prepared_again(made: Path) -> None:
    (made / "own").mkdir()
    content = b"one\n"
    (made / "own" / "domain.gz").write_bytes(gzip.compress(content))
    info = task(made, domain={"file": "own/domain.gz", "sha256": sha256(content).hexdigest(), "rows": 1})
    prepare_table(info, mirror=str(made), download=False)
    for path in (made / "own" / "domain.gz", home() / "data" / "own" / "domain.gz"):
        path.unlink()
    said: list[str] = []
    assert "  FINE " not in prepare(made, suite(info), said, sentences=14)
    assert said == ["corpus of own: 12 sentences of text/wiki.gz, 2 held-out ones dropped"]


@pytest.mark.data
def test_wikipedia_sentences_are_a_prefix_of_the_file(mirror: Path) -> None:
    settings = text_settings(sentences=2000)
    glue = SuiteInfo.model_validate(
        suites()["glue"].model_dump()
        | {"tasks": [one.model_dump() for one in suites()["glue"].tasks if one.name in ("rte", "cola")]}
    )
    prepare_corpus(glue, settings, mirror=str(mirror), download=False, say=lambda _: None)
    corpus = load_corpus(glue, settings)
    assert (len(corpus.sentences), corpus.meta["excluded"]) == (2000, 0)
    assert corpus.sentences[2] == "Orangutans are the first nonhuman species documented to do so."
    assert corpus.meta["held_out"] == ["glue:cola", "glue:rte"]


@pytest.mark.data
@pytest.mark.parametrize(("name", "lines"), [("acl-arc", 1659), ("scierc", 3161), ("chemprot", 3983)])
def test_domain_text_has_the_lines_of_its_file(mirror: Path, name: str, lines: int) -> None:
    (info,) = (one for one in suites()["tartan"].tasks if one.name == name)
    prepare_table(info, mirror=str(mirror), download=False)
    assert info.text
    assert info.text.domain
    assert len(domain_text(info)) == info.text.domain.rows == lines
