"""The encoders along a method's stages, for scripts that look at them: at random, then as stored by a run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

from bench import artifacts, chain
from bench.chain import Chain
from bench.protocol_files import load
from tasks.text.tokenizer import Tokenizer

BACKBONE = "roberta"


class Encoder(NamedTuple):
    """Modules in evaluation mode after a stage."""

    stage: str
    encoder: Any
    heads: Any


def arguments(description: str | None, task: str, method: str) -> argparse.ArgumentParser:
    """Return a parser of what the scripts have in common, with their defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default=task)
    parser.add_argument("--method", default=method)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--protocol", default="small")
    parser.add_argument("--set", action="append", default=[], dest="assignments")
    return parser


def planned(options: argparse.Namespace) -> Chain:
    """Return the cell that the arguments name; its data must be prepared."""
    return chain.build(
        options.method, options.task, BACKBONE, options.seed, load(options.protocol, options.assignments)
    )


def encoders(cell: Chain) -> Iterator[Encoder]:
    """Yield the random initialisation, then the encoder after each shared stage of ``cell`` that is stored."""
    problem = cell.problem(cell.links[0], "cpu")[0]
    yield Encoder("random initialisation", problem.encoder().eval(), problem.objective_heads().eval())
    for link in cell.links:
        if link.done:
            weights = artifacts.load(artifacts.folder(link.stage.name, link.digest))[0].weights
            encoder, heads = problem.encoder(), problem.objective_heads()
            encoder.load_state_dict(dict(weights["encoder"]))
            heads.load_state_dict(dict(weights["heads"]))
            yield Encoder(link.stage.name, encoder.eval(), heads.eval())
        elif link.stage.shared:
            print(f"{link.stage.name}: not stored; run the method first")


def tokenizer_of(cell: Chain) -> Tokenizer:
    """Return the tokenizer of the cell's suite."""
    from tasks.catalogue import suites
    from tasks.text.corpus import describe_corpus
    from tasks.text.tokenizer import load_tokenizer

    text, suite = cell.resolved.settings.text, suites()[cell.task.suite]
    return load_tokenizer(text, describe_corpus(suite, text)["checksum"], suite=suite.name)
