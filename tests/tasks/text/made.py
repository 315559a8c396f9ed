"""Text tasks made by tests: files of a mirror and the entry that reads them."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from tasks.info import TaskInfo

TRAIN = "sentence\tlabel\n" + "".join(f"text {row}\t{'no' if row % 3 else 'yes'}\n" for row in range(18))
TEST = "sentence\tlabel\nfine\tyes\nbad\tno\n"


def lines(content: str) -> int:
    """Rows of a file with a header."""
    return content.count("\n") - 1


def task(
    mirror: Path, train: str = TRAIN, test: str | dict[str, str] = TEST, val: str = "", **changes: Any
) -> TaskInfo:
    """Write files into ``mirror`` and return their entry.

    ``changes`` may name fields of the entry or of its text, ``folder``, and ``rows_each`` by file.
    """
    entry: dict[str, Any] = {
        "suite": "own",
        "name": "set",
        "title": "Set",
        "inputs": "text",
        "kind": "classes",
        "metric": "accuracy",
        "split": "official" if val else "seeded",
    }
    text: dict[str, Any] = {"format": "tsv", "first": "sentence", "label": "label", "classes": ("no", "yes")}
    tests = test if isinstance(test, dict) else {"test": test}
    folder, rows, files = changes.pop("folder", "own"), changes.pop("rows_each", {}), {}
    for name, content in {"train": train, "val": val, **tests}.items():
        path = mirror / folder / f"{name}.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content.encode()))
        files[name] = {"file": f"{folder}/{name}.gz", "rows": rows.get(name, max(lines(content), 1))}
    text |= {"train": files["train"], "test": {name: files[name] for name in tests}}
    text |= {"val": files["val"]} if val else {}
    entry["rows"] = sum(files[name]["rows"] for name in ("train", *tests, *(["val"] if val else [])))
    for key, value in changes.items():
        (entry if key in TaskInfo.model_fields and key != "text" else text)[key] = value
    return TaskInfo.model_validate(entry | {"text": text})
