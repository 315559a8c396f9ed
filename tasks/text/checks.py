"""What is checked and counted of the rows of a text task before they are kept."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from bench.errors import NotPreparedError, RequestError
from tasks.info import TaskInfo, TextFile
from tasks.text.read import Rows


def check_entry(info: TaskInfo) -> None:
    """Refuse an entry whose ``rows`` are not those of its files, of which lists and plans would tell.

    Raises
    ------
    RequestError: naming both numbers.
    """
    assert info.text
    files = (info.text.train, info.text.val, *info.text.test.values())
    if (together := sum(file.rows for file in files if file)) != info.rows:
        raise RequestError(f"{info.id}: rows: expected {together:,}, those of its files together, got {info.rows:,}")


def check_rows(info: TaskInfo, file: TextFile, found: int) -> None:
    """Refuse a file that is not the entry's, such as a part of it. Files of one name may differ by a few rows.

    Raises
    ------
    NotPreparedError: if the rows with text differ from the entry's by more than one in a thousand.
    """
    if abs(found - file.rows) > file.rows // 1000:
        raise NotPreparedError(
            f"{info.id}: {file.file}: expected {file.rows:,} rows with text, got {found:,}; "
            "get the whole file, or correct rows in the entry"
        )


def check_labels(info: TaskInfo, rows: Mapping[str, Rows]) -> None:
    """Refuse parts, by name, that allow no training or no score.

    Raises
    ------
    RequestError: if a part has no rows, values do not vary, or the training rows lack a class of the entry.
    """
    assert info.text
    for name, part in rows.items():
        least = 5 if info.split == "seeded" and name == "train" else 1  # of which one is drawn for validation
        if len(part.labels) < least:
            raise RequestError(f"{info.id}: expected at least {least} rows with text in {name}, got {len(part.labels)}")
        if info.kind == "regression" and name != "val" and len(set(part.labels)) < 2:
            raise RequestError(f"{info.id}: expected labels of {name} that vary, got {part.labels[0]:g} alone")
    seen = set(rows["train"].labels)
    for number, label in enumerate(info.text.classes):
        if number not in seen:
            raise RequestError(f"{info.id}: text.classes: expected labels of the training rows, got {label!r} of none")


def count(rows: Mapping[str, Rows]) -> dict[str, int]:
    """Return the counts that do not depend on the seed, see :func:`tasks.text.table.describe_table`."""
    texts = {name: list(zip(part.first, part.second or part.first, strict=True)) for name, part in rows.items()}
    labels = defaultdict(set)
    for text, label in zip(texts["train"], rows["train"].labels, strict=True):
        labels[text].add(label)
    test = [text for name, part in texts.items() if name.startswith("test[") for text in part]
    kept, empty = sum(map(len, texts.values())), sum(part.empty for part in rows.values())
    counts = {
        "rows": kept + empty,
        "empty_dropped": empty,
        "kept": kept,
        "repeated_train_texts": len(texts["train"]) - len(labels),
        "repeated_test_texts": len(test) - len(set(test)),
        "ambiguous_train_texts": sum(len(found) > 1 for found in labels.values()),
        "test_texts_in_train": sum(text in labels for text in test),
    }
    return counts | ({"val_texts_in_train": sum(text in labels for text in texts["val"])} if "val" in texts else {})
