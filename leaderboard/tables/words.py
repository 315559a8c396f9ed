"""Words and numbers as every table writes them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import floor, log10

from leaderboard.content import Procedure, TaskTable

METRICS = {
    "roc_auc": "ROC-AUC",
    "rmse": "RMSE",
    "mae": "MAE",
    "macro_f1": "macro-F1",
    "mcc": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
}


def one_line(text: str) -> str:
    """Join lines, and replace characters that show nothing or steer a terminal; every format starts from this."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in line)


def slug(*parts: str) -> str:
    """A file name of small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:80] or "table"


def listed(names: Sequence[str]) -> str:
    """Join names as a sentence does: a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def ranges(numbers: Sequence[int]) -> str:
    """Write sorted numbers with runs joined: 0-4, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def metric_name(metric: str) -> str:
    """The metric's usual spelling."""
    return METRICS.get(metric, metric)


def unit(task: TaskTable) -> str:
    """Metric and direction, as a column's heading has them."""
    return f"{metric_name(task.metric)} {'↑' if task.higher_is_better else '↓'}"


def decimals(task: TaskTable) -> int:
    """Three decimals, more where a column's smallest mean would lose significant digits."""
    means = [abs(entry.summary.mean) for entry in task.entries if entry.summary and entry.summary.mean]
    return min(9, max(3, 2 - floor(log10(min(means))))) if means else 3


def seconds(value: float) -> str:
    """Whole seconds from ten on."""
    return f"{value:,.0f} s" if value >= 10 else f"{value:.2g} s"


def procedures(found: Sequence[Procedure]) -> str:
    """Name the tests that were done, each kind once."""
    kinds: dict[str, None] = {}
    for one in found:
        unequal = " (n differs)" if one.statistic == "Welch t" else ""
        kinds[f"two-sided {one.pairing} permutation test of the {one.statistic}{unequal}, {drawn(one)}"] = None
    return "; ".join(kinds)


def written(value: float) -> str:
    """All digits, as a file has them."""
    return repr(float(value)).removesuffix(".0")


def drawn(one: Procedure) -> str:
    """Whether a test enumerates or draws."""
    if one.exact:
        return f"exact over {one.splits:,} {'splits' if one.pairing == 'unpaired' else 'sign flips'}"
    return f"{one.splits:,} draws, generator seed {one.generator_seed}"
