"""Masked-LM loss on sentences that no training saw, before and after the general-domain start.

    python benchmarks/mlm_loss.py [--method cp] [--task glue:rte] [--seed 0] [--protocol small] [--set ...]
        [--sentences 1000]

The sentences are the block of the Wikipedia file behind those of the corpus; none is in a validation or test part. The
loss, in nats a masked token, without dropout, is printed for the random initialisation and after each shared stage of
``--method`` that a run has stored. Beside it: the entropy of single tokens in the corpus, which is what a model that
knows nothing but their frequencies would reach.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tabulate import tabulate
from text_encoders import arguments, encoders, planned, tokenizer_of

BATCH = 64


def main() -> None:
    """Measure and print."""
    import torch
    from torch.nn import functional

    from bench.commands.prepare import say
    from tasks.catalogue import suites
    from tasks.randomness import generator
    from tasks.text.batches import Framing
    from tasks.text.corpus import load_corpus, prepare_corpus
    from tasks.text.masking import mask_tokens
    from tasks.text.tokens import cached_tokens, tokenise

    parser = arguments(__doc__, "glue:rte", "cp")
    parser.add_argument("--sentences", type=int, default=1000)
    options = parser.parse_args()
    cell = planned(options)
    suite, text, tokenizer = suites()[cell.task.suite], cell.resolved.settings.text, tokenizer_of(cell)
    block = -(-(text.seed + 1) * text.sentences // options.sentences)  # the first that begins behind the corpus
    behind = text.model_copy(update={"sentences": options.sentences, "seed": block})
    prepare_corpus(suite, behind, mirror=None, download=False, say=say)
    tokens, framing = tokenise(tokenizer, load_corpus(suite, behind).sentences), Framing(tokenizer, text.corpus_tokens)
    corpus = cached_tokens(tokenizer, load_corpus(suite, text).sentences)
    counts = np.bincount(np.concatenate([corpus[row] for row in range(len(corpus))]))
    shares = counts[counts > 0] / counts.sum()
    unigram = -float((shares * np.log(shares)).sum())

    @torch.no_grad()
    def loss(encoder: Any, head: Any) -> float:
        total, count = 0.0, 0
        for first in range(0, len(tokens), BATCH):
            plain = framing.pad([framing.single(tokens[row]) for row in range(first, min(first + BATCH, len(tokens)))])
            masked, predicted = mask_tokens(plain, tokenizer, text.mask_share, generator(0, "held out", first))
            logits = head(encoder(masked).flatten(0, 1)[predicted], encoder.words)
            total += float(functional.cross_entropy(logits, plain.flatten()[predicted], reduction="sum"))
            count += len(predicted)
        return total / count

    found = [[stage, f"{loss(encoder, heads['masked-lm']):.3f}"] for stage, encoder, heads in encoders(cell)]
    print(f"{suite.name}: {len(tokens)} held-out sentences, {tokenizer.vocabulary} tokens, "
          f"entropy of single tokens {unigram:.3f}")  # fmt: skip
    print(tabulate(found, headers=["after", "masked-LM loss"], disable_numparse=True))


if __name__ == "__main__":
    main()
