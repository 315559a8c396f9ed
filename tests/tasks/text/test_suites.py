"""The text suites: what their entries say, and the real files against their documentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.errors import NotPreparedError
from tasks import catalogue
from tasks.info import TaskInfo, TextFile
from tasks.text.table import TextTable, load_table, prepare_table

SUITES = ("glue", "glue-subset", "tartan", "tartan-leaky", "text", "text-subset")
TASKS = [task for name in SUITES for task in catalogue.suites()[name].tasks]
MISSING = ("glue:qqp", "glue:mnli", "glue:qnli", "text:agnews", "text:rct-20k")  # in the local mirror


def files(task: TaskInfo) -> list[TextFile]:
    assert task.text
    return [task.text.train, *([task.text.val] if task.text.val else []), *task.text.test.values()]


def test_glue_is_in_the_papers_order_with_its_metrics() -> None:
    assert [(task.name, task.metric, task.outputs) for task in catalogue.suites()["glue"].tasks] == [
        ("cola", "matthews", 2),
        ("sst2", "accuracy", 2),
        ("mrpc", "accuracy", 2),
        ("stsb", "pearson_spearman", 1),
        ("qqp", "accuracy", 2),
        ("mnli", "accuracy", 3),
        ("qnli", "accuracy", 2),
        ("rte", "accuracy", 2),
    ]


def test_the_tartan_four_have_the_papers_names_and_metrics() -> None:
    assert [(task.name, task.metric, task.outputs) for task in catalogue.suites()["tartan"].tasks] == [
        ("acl-arc", "macro_f1", 6),
        ("scierc", "macro_f1", 7),
        ("chemprot", "micro_f1", 13),
        ("hyperpartisan", "accuracy", 2),
    ]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_an_entry_says_where_its_data_is_from(task: TaskInfo) -> None:
    assert task.text
    assert task.source
    assert task.licence
    assert task.citation
    assert task.rows == sum(file.rows for file in files(task))
    assert task.text.subset == task.suite.endswith("-subset")
    for file in files(task):
        assert file.url.startswith("https://") or "no public address" in task.note
        assert file.sha256 or "no checksum" in task.note
    # A part of the rows never has the name of the whole alone.
    subset_file = any("subset" in file.file or "heldout" in file.file for file in files(task))
    assert subset_file == task.text.subset


def test_whole_sets_have_their_official_sizes() -> None:
    # GLUE (Wang et al. 2019); Zhang et al. 2015; Dernoncourt and Lee 2017.
    sizes = {task.id: [file.rows for file in files(task)] for task in TASKS}
    assert sizes["glue:qqp"] == [363846, 40430]
    assert sizes["glue:mnli"] == [392702, 9815, 9832]
    assert sizes["glue:qnli"] == [104743, 5463]
    assert sizes["text:agnews"] == [120000, 7600]
    assert sizes["text:rct-20k"] == [180040, 30212, 30135]
    mnli = catalogue.get("glue:mnli").text
    assert mnli
    assert list(mnli.test) == ["matched", "mismatched"]


def test_the_leaky_set_is_in_no_suite_with_others() -> None:
    assert [task.name for task in catalogue.suites()["tartan-leaky"].tasks] == ["hyperpartisan-leaky"]


def real(mirror: Path, name: str) -> tuple[TaskInfo, TextTable]:
    info = catalogue.get(name)
    prepare_table(info, mirror=str(mirror), download=False)
    table = load_table(info, 0)
    assert table.counts["kept"] == len(table.first) == len(table.labels) == info.rows
    assert table.counts["train"] + table.counts["val"] + table.counts["test"] == info.rows
    return info, table


def labels(info: TaskInfo, table: TextTable, rows: np.ndarray) -> dict[str, int]:
    assert info.text
    numbers, counts = np.unique(table.labels[rows, 0], return_counts=True)
    return {info.text.classes[int(number)]: int(count) for number, count in zip(numbers, counts, strict=True)}


def official(table: TextTable) -> np.ndarray:
    """The rows of the training file, whatever the seed makes of them."""
    return np.arange(table.test.min()) if len(table.val) + len(table.train) == table.test.min() else table.train


# Training and test labels of the mirror's documentation.
SEEDED = {
    "glue:cola": ({"0": 2528, "1": 6023}, {"0": 322, "1": 721}),
    "glue:sst2": ({"0": 29780, "1": 37569}, {"0": 428, "1": 444}),
    "glue:mrpc": ({"0": 1194, "1": 2474}, {"0": 129, "1": 279}),
    "glue:rte": ({"entailment": 1249, "not_entailment": 1241}, {"entailment": 146, "not_entailment": 131}),
    "glue-subset:qqp": ({"0": 14750, "1": 8747}, {"0": 5394, "1": 2255}),
    "glue-subset:mnli": (
        {"entailment": 3408, "neutral": 3313, "contradiction": 3278},
        {"entailment": 3479, "neutral": 3123, "contradiction": 3213},
    ),
    "glue-subset:qnli": ({"entailment": 5027, "not_entailment": 4972}, {"entailment": 2702, "not_entailment": 2761}),
    "text-subset:agnews": ({"1": 1259, "2": 1257, "3": 1280, "4": 1203}, dict.fromkeys("1234", 1900)),
    "text-subset:agnews-description": ({"1": 2506, "2": 2456, "3": 2485, "4": 2530}, dict.fromkeys("1234", 1900)),
    "text:imdb": ({"0": 12500, "1": 12500}, {"0": 12500, "1": 12500}),
}


@pytest.mark.data
@pytest.mark.parametrize("name", SEEDED)
def test_labels_are_those_of_the_documentation(mirror: Path, name: str) -> None:
    info, table = real(mirror, name)
    train, test = SEEDED[name]
    assert labels(info, table, official(table)) == train
    assert labels(info, table, table.test) == test
    assert table.counts["val"] == round(sum(train.values()) / 9)
    assert table.counts["empty_dropped"] == 0
    assert info.paired


@pytest.mark.data
def test_stsb_has_scores(mirror: Path) -> None:
    _, table = real(mirror, "glue:stsb")
    train = table.labels[official(table)]
    assert (len(train), table.counts["test"]) == (5749, 1500)
    assert (train.min(), train.max(), round(train.mean(), 3)) == (0, 5, 2.701)
    assert round(table.labels[table.test].mean(), 3) == 2.364
    assert table.second
    assert (table.first[0], table.second[0], table.labels[0, 0]) == (
        "A plane is taking off.",
        "An air plane is taking off.",
        5,
    )


CLASSES = {
    "tartan:acl-arc": (
        (1688, 114, 139),
        {"Background": 867, "Uses": 317, "CompareOrContrast": 305, "Motivation": 76, "Extends": 63, "Future": 60},
    ),
    "tartan:scierc": (
        (3219, 455, 974),
        {
            "USED-FOR": 1690,
            "CONJUNCTION": 400,
            "EVALUATE-FOR": 313,
            "HYPONYM-OF": 298,
            "PART-OF": 179,
            "FEATURE-OF": 173,
            "COMPARE": 166,
        },
    ),
    "tartan:chemprot": (
        (4169, 2427, 3469),
        {
            "INHIBITOR": 1642,
            "INDIRECT-DOWNREGULATOR": 487,
            "SUBSTRATE": 480,
            "INDIRECT-UPREGULATOR": 387,
            "ACTIVATOR": 323,
            "ANTAGONIST": 235,
            "PRODUCT-OF": 233,
            "AGONIST": 156,
            "DOWNREGULATOR": 131,
            "UPREGULATOR": 67,
            "SUBSTRATE_PRODUCT-OF": 14,
            "AGONIST-ACTIVATOR": 10,
            "AGONIST-INHIBITOR": 4,
        },
    ),
    "tartan-leaky:hyperpartisan-leaky": ((516, 63, 65), {"false": 329, "true": 187}),
}


@pytest.mark.data
@pytest.mark.parametrize("name", CLASSES)
def test_official_parts_and_classes_are_those_of_the_documentation(mirror: Path, name: str) -> None:
    info, table = real(mirror, name)
    sizes, train = CLASSES[name]
    assert (len(table.train), len(table.val), len(table.test)) == sizes
    assert labels(info, table, table.train) == train
    assert info.text
    assert list(info.text.classes) == list(train)


@pytest.mark.data
def test_chemprot_lacks_classes_outside_training(mirror: Path) -> None:
    info, table = real(mirror, "tartan:chemprot")
    assert info.text
    assert set(info.text.classes) - set(labels(info, table, table.val)) == {"AGONIST-INHIBITOR"}
    assert set(info.text.classes) - set(labels(info, table, table.test)) == {"SUBSTRATE_PRODUCT-OF"}


# Repeated training texts, those with several labels, validation and test texts that are in the training file too.
LEAKS = {
    "tartan:acl-arc": (418, 20, 43, 52),
    "tartan:chemprot": (25, 25, 0, 4),
    "tartan-leaky:hyperpartisan-leaky": (2, 0, 0, 51),
    "tartan:hyperpartisan": (1, 0, 0, 0),
    "text:imdb": (96, 0, None, 123),
}


@pytest.mark.data
@pytest.mark.parametrize("name", LEAKS)
def test_repeats_and_leaks_are_those_of_the_documentation(mirror: Path, name: str) -> None:
    counts = real(mirror, name)[1].counts
    found = (
        counts["repeated_train_texts"],
        counts["ambiguous_train_texts"],
        counts.get("val_texts_in_train"),
        counts["test_texts_in_train"],
    )
    assert found == LEAKS[name]


@pytest.mark.data
def test_the_default_hyperpartisan_is_the_clean_one(mirror: Path) -> None:
    _, table = real(mirror, "tartan:hyperpartisan")
    assert (len(table.train), len(table.val), len(table.test)) == (464, 56, 65)
    assert table.counts["empty_dropped"] == 1
    _, leaky = real(mirror, "tartan-leaky:hyperpartisan-leaky")
    assert leaky.counts["empty_dropped"] == 1
    # The same test articles, in the same order.
    assert [table.first[row] for row in table.test] == [leaky.first[row] for row in leaky.test]
    test = {table.first[row] for row in table.test}
    assert not test & {table.first[row] for row in (*table.train, *table.val)}
    assert len(test & {leaky.first[row] for row in leaky.val}) == 7


@pytest.mark.data
def test_imdb_keeps_its_repeated_test_texts(mirror: Path) -> None:
    _, table = real(mirror, "text:imdb")
    assert len(table.test) - len({table.first[row] for row in table.test}) == 199


@pytest.mark.data
def test_the_parts_of_qqp_share_no_question(mirror: Path) -> None:
    _, table = real(mirror, "glue-subset:qqp")
    assert table.second
    train, test = ({side[row] for row in rows for side in (table.first, table.second)}
                   for rows in ((*table.train, *table.val), table.test))  # fmt: skip
    assert not train & test


@pytest.mark.data
def test_quotes_are_text(mirror: Path) -> None:
    _, mrpc = real(mirror, "glue:mrpc")
    assert mrpc.second
    assert mrpc.first[0].startswith('Amrozi accused his brother , whom he called " the witness " ,')
    assert sum(text.count('"') % 2 for text in (*mrpc.first, *mrpc.second)) > 100
    _, qnli = real(mirror, "glue-subset:qnli")
    assert qnli.second
    assert any(text.startswith('"') and text.count('"') == 1 for text in qnli.second)


@pytest.mark.data
def test_cola_has_no_header_and_keeps_its_last_row(mirror: Path) -> None:
    _, cola = real(mirror, "glue:cola")
    assert cola.first[0] == "Our friends won't buy this analysis, let alone the next one we propose."
    assert cola.first[cola.test[0]] == "The sailors rode the breeze clear of the rocks."
    assert cola.counts["test"] == 1043


@pytest.mark.data
def test_ag_news_stays_as_released_and_joins_its_columns(mirror: Path) -> None:
    _, both = real(mirror, "text-subset:agnews")
    _, alone = real(mirror, "text-subset:agnews-description")
    second = both.first[both.test[1]]
    assert second.startswith(
        "The Race is On: Second Private Team Sets Launch Date for Human Spaceflight (SPACE.com) SPACE"
    )
    assert "A second\\team of rocketeers competing for the  #36;10 million Ansari X Prize" in second
    assert second.endswith(alone.first[alone.test[1]])


@pytest.mark.data
@pytest.mark.parametrize("name", MISSING)
def test_a_whole_set_is_never_replaced_by_a_part(mirror: Path, name: str) -> None:
    with pytest.raises(NotPreparedError, match=rf"{name}: .*: not found; looked at .*https://.* \(downloads are off\)"):
        prepare_table(catalogue.get(name), mirror=str(mirror), download=False)
