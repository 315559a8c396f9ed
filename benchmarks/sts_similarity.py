"""How well cosines of an encoder's sentence states follow STS-B, without any training on it.

    python benchmarks/sts_similarity.py [--method simcse] [--task glue:stsb] [--seed 0] [--protocol small] [--set ...]

Spearman's correlation of the cosine of the two first-token states with the score, over the pairs of the validation
part, for the random initialisation and after each shared stage of ``--method`` that a run has stored: with ``simcse``
before and after its contrastive training. No test label is read.
"""

from __future__ import annotations

from typing import Any

from tabulate import tabulate
from text_encoders import arguments, encoders, planned, tokenizer_of

BATCH = 64


def main() -> None:
    """Measure and print."""
    import torch
    from scipy.stats import spearmanr
    from torch.nn import functional

    from tasks.text.batches import Framing
    from tasks.text.table import load_table
    from tasks.text.tokens import tokenise

    cell = planned(arguments(__doc__, "glue:stsb", "simcse").parse_args())
    table, tokenizer = load_table(cell.task, cell.cell.seed), tokenizer_of(cell)
    if table.second is None or cell.task.kind != "regression":
        raise SystemExit(f"--task: expected pairs with a score, such as glue:stsb, got {cell.task.id}")
    framing = Framing(tokenizer, cell.resolved.settings.text.tokens)
    sides = [tokenise(tokenizer, [side[row] for row in table.val]) for side in (table.first, table.second)]

    @torch.no_grad()
    def states(encoder: Any, side: Any) -> torch.Tensor:
        rows = [framing.single(side[row]) for row in range(len(side))]
        batches = [framing.pad(rows[first : first + BATCH]) for first in range(0, len(rows), BATCH)]
        return torch.cat([encoder(tokens)[:, 0] for tokens in batches])

    found = []
    for stage, encoder, _ in encoders(cell):
        first, second = (states(encoder, side) for side in sides)
        cosines = functional.cosine_similarity(first, second)
        correlation = spearmanr(cosines.numpy(), table.labels[table.val, 0]).statistic
        found.append([stage, f"{correlation:.3f}", f"{cosines.mean():.3f}"])
    print(f"{cell.task.id}, {len(table.val)} validation pairs, seed {cell.cell.seed}")
    print(tabulate(found, headers=["after", "Spearman", "mean cosine"], disable_numparse=True))


if __name__ == "__main__":
    main()
