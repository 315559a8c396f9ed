"""The demo sentences: always the same, balanced, and a task for which the order of the words is needed."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from bench.errors import RequestError
from tasks.catalogue import get
from tasks.text import demo
from tasks.text.demo import MOODS, demo_rows, demo_sentences

MOOD = {word: mood for mood, words in enumerate(MOODS) for word in words}


def moods(sentence: str) -> list[int]:
    """The moods in the order in which they are named."""
    return [MOOD[word] for word in re.findall("[a-z]+", sentence.lower()) if word in MOOD]


def test_another_process_finds_the_same() -> None:
    code = "from tasks.text.demo import *; print('\\n'.join((*demo_rows('mood').first, *demo_sentences(50, 3))))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert tuple(printed.splitlines()) == (*demo_rows("mood").first, *demo_sentences(50, 3))


def test_the_entry_describes_the_rows() -> None:
    task, rows = get("demo:mood"), demo_rows("mood")
    assert task.text is not None
    assert task.rows == len(rows.first) == len(set(rows.first)) == 320
    (test,) = task.text.test.values()
    assert task.text.val is not None
    assert [task.text.train.rows, task.text.val.rows, test.rows] == [len(part) for part in rows[3:]] == [256, 32, 32]
    assert task.outputs == len(task.text.classes) == 2
    assert rows.labels.shape == (320, 1)
    assert np.concatenate(rows[3:]).tolist() == list(range(320))


def test_the_label_is_the_mood_of_the_one_named_first() -> None:
    rows = demo_rows("mood")
    assert [moods(sentence)[0] for sentence in rows.first] == rows.labels[:, 0].tolist()
    for sentence in rows.first:
        assert re.fullmatch(r"[A-Z][a-z]+[a-z ,]+\.", sentence)
        assert len(moods(sentence)) == 2
        (actor, other) = re.findall(f"(?:{'|'.join(MOOD)}) ([a-z]+)", sentence)
        assert actor != other


def test_every_part_has_all_pairs_of_moods_equally_often() -> None:
    rows = demo_rows("mood")
    for part in rows[3:]:
        pairs = [tuple(moods(rows.first[row])) for row in part]
        assert {pairs.count(pair) for pair in set(pairs)} == {len(part) // 4}
        assert len(set(pairs)) == 4


def test_words_alone_tell_three_quarters_and_their_order_tells_all() -> None:
    rows = demo_rows("mood")
    held_out = [*rows.val, *rows.test]

    def accuracy(vectorizer: CountVectorizer) -> float:
        features = vectorizer.fit_transform([rows.first[row] for row in rows.train])
        fitted = LogisticRegression(max_iter=1000).fit(features, rows.labels[rows.train, 0])
        return float(
            fitted.score(vectorizer.transform([rows.first[row] for row in held_out]), rows.labels[held_out, 0])
        )

    words = accuracy(CountVectorizer())
    # The first mood word, and no other: what an encoder with positions can attend to.
    first = accuracy(
        CountVectorizer(analyzer=lambda sentence: [word for word in words_of(sentence) if word in MOOD][:1])
    )
    assert 0.6 < words < 0.85
    assert first > 0.97


def words_of(sentence: str) -> list[str]:
    return re.findall("[a-z]+", sentence.lower())


def test_the_corpus_has_no_sentence_of_a_task_and_grows_at_its_end() -> None:
    corpus = demo_sentences(3000, 0)
    assert len(set(corpus)) == 3000
    assert not set(corpus) & set(demo_rows("mood").first)
    assert demo_sentences(100, 0) == corpus[:100]
    assert len(set(demo_sentences(1000, 1)) & set(corpus[:1000])) < 10


def test_the_grammar_has_as_many_sentences_as_it_says() -> None:
    people, adjectives = len(demo.PEOPLE), sum(map(len, MOODS))
    frames = sum(
        (len(demo.PLACES) if "{place}" in template else 1) * (len(demo.TIMES) if "{time}" in template else 1)
        for template in demo.TEMPLATES
    )
    assert people * (people - 1) * adjectives**2 * len(demo.VERBS) * frames == demo.SENTENCES


def test_wrong_requests_are_named() -> None:
    with pytest.raises(RequestError, match="'moods' is not known; did you mean mood"):
        demo_rows("moods")
    with pytest.raises(RequestError, match=r"text.sentences: expected at most 3,110,400 .*, got 4,000,000"):
        demo_sentences(4_000_000, 0)
