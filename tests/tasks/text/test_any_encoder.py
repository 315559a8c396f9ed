"""Encoders other than RoBERTa: folders as transformers saves them, their tokenizers and architectures."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from bench import chain
from bench import plan as planning
from bench.commands.prepare import prepare_pairs, prepare_tasks
from bench.errors import NotPreparedError, RequestError
from bench.files import home
from bench.protocol_files import load
from bench.records import scan
from slurm.inline import InProcess
from tasks import pretrained
from tasks.backbones.roberta import describe, prepare
from tasks.catalogue import get
from tasks.text.batches import Framing
from tasks.text.encoder import masked_lm_head
from tasks.text.models import load_saved
from tests.bench.short import ASSIGNMENTS
from tests.tasks.text.saved_models import (
    KINDS,
    SIZES,
    TASK,
    each,
    made,
    prepared,
    reference,
    save,
    settings,
    word_pieces,
)
from tests.tasks.text.small import sentences

# --- what is read of a folder


@each
def test_a_problem_is_known_by_content_and_not_by_path(kind: str, saved: Callable[[str], Path], tmp_path: Path) -> None:
    spec, copy = prepared(saved(kind)), tmp_path / "copy"
    shutil.copytree(saved(kind), copy)
    assert prepared(copy) == spec
    (copy / "vocab.txt").write_text("a copy that a publisher added", encoding="utf-8")
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    unlike = {"transformers_version": "4.0.0", "_name_or_path": "elsewhere", "architectures": ["Other"]}
    dropout = {key: 0.5 for key in config if "dropout" in key}
    (copy / "config.json").write_text(json.dumps(config | unlike | dropout), encoding="utf-8")
    with pytest.raises(NotPreparedError, match=r"bench prepare --tasks demo --set text\.model="):
        describe(get(TASK), settings(copy), 0)
    assert prepared(copy) == spec
    assert prepared(copy, layers=3, width=64, heads=4, vocabulary=500) == spec  # the section's sizes are not used
    assert prepared(copy, dropout=0.3) != spec
    architecture = spec.encoder["architecture"]
    assert architecture["model_type"] == kind
    names = {
        "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
        "distilbert": ("dropout", "attention_dropout"),
    }
    assert {key: value for key, value in architecture.items() if "dropout" in key} == dict.fromkeys(names[kind], 0.1)
    assert str(tmp_path) not in json.dumps([dict(spec.encoder), dict(spec.corpus)])


def test_without_a_model_nothing_has_changed() -> None:
    assert "model" not in prepared("").encoder
    assert prepared("").encoder["architecture"]["model_type"] == "roberta"
    assert "model" not in prepared("").corpus


@each
def test_texts_are_framed_as_the_model_s_tokenizer_does(kind: str, saved: Callable[[str], Path]) -> None:
    prepared(saved(kind))
    tokenizer = load_saved(settings(saved(kind)).text, suite="demo")
    assert (tokenizer.pad, tokenizer.first, tokenizer.last, tokenizer.mask) == (0, 2, 3, 4)
    assert tokenizer.special == (0, 1, 2, 3, 4)
    backend = word_pieces()
    one, other = "the old king", "a river near the city."
    a, b = (torch.tensor(ids).numpy() for ids in tokenizer.encode([one, other]))
    framing = Framing(tokenizer, 32)
    assert framing.single(a).tolist() == backend.encode(one).ids
    assert framing.pair(a, b).tolist() == backend.encode(one, other).ids == [2, *a, 3, *b, 3]
    assert len(Framing(tokenizer, 9).pair(a, b)) == 9
    assert not set(tokenizer.encode(["[MASK] and [SEP]"])[0]) & {0, 2, 3, 4}  # what a text spells is text


def test_vocabulary_files_alone_give_the_same_tokenizer(saved: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "old"
    shutil.copytree(saved("bert"), folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    numbers = word_pieces().get_vocab()
    (folder / "vocab.txt").write_text("".join(f"{one}\n" for one in sorted(numbers, key=numbers.get)), encoding="utf-8")
    prepared(folder), prepared(saved("bert"))
    found, whole = (load_saved(settings(one).text, suite="demo") for one in (folder, saved("bert")))
    assert found.encode(sentences(20)) == whole.encode(sentences(20))
    assert (found.first, found.last, found.special) == (whole.first, whole.last, whole.special)


def test_a_tokenizer_that_cuts_or_pads_does_neither_here(saved: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(saved("bert"), folder)
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    backend.enable_truncation(4)
    backend.enable_padding(length=12)
    backend.save(str(folder / "tokenizer.json"))
    assert prepared(folder) == prepared(saved("bert"))
    texts = sentences(20)
    assert load_saved(settings(folder).text, suite="demo").encode(texts) == [
        found.ids for found in word_pieces().encode_batch(list(texts), add_special_tokens=False)
    ]


def test_describing_loads_no_torch(saved: Callable[[str], Path]) -> None:
    prepared(saved("bert"))
    code = (
        "import sys\n"
        "from tests.tasks.protocol import task_settings, text_settings\n"
        "from tasks.backbones.roberta import describe\n"
        "from tasks.catalogue import get\n"
        f"text = text_settings(model={str(saved('bert'))!r})\n"
        "describe(get('demo:mood'), task_settings().model_copy(update={'text': text}), 0)\n"
        "print({'torch', 'transformers', 'tokenizers'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("damage", ["", "{}", "other"])
def test_what_is_damaged_in_the_cache_is_mended(
    damage: str, saved: Callable[[str], Path], own_home: Path, tmp_path: Path
) -> None:
    spec = prepared(saved("bert"))
    (path,) = own_home.glob("tokenizers/model-*/tokenizer.json")
    content = path.read_text(encoding="utf-8")
    path.write_text(content.replace("king", "kong") if damage == "other" else damage, encoding="utf-8")
    with pytest.raises(NotPreparedError, match=r"damaged|does not match its checksum"):
        load_saved(settings(saved("bert")).text, suite="demo")
    assert prepared(saved("bert")) == spec
    assert path.read_text(encoding="utf-8") == content


# --- the encoder


@pytest.mark.parametrize("kind", list(KINDS))
def test_states_are_those_of_the_library(kind: str, saved: Callable[[str], Path]) -> None:
    folder = saved(kind)
    encoder = made(folder).load_checkpoint(folder).eval()
    tokens = torch.tensor([[2, 9, 8, 7, 3, 20, 21, 3, 0, 0]])
    typed = kind in ("bert", "electra")
    assert (encoder.separator is not None) == typed
    states = encoder(tokens)
    torch.testing.assert_close(states[:, :8], reference(folder, tokens, typed=typed)[:, :8])
    if typed:
        untyped = reference(folder, tokens, typed=False)
        assert not torch.allclose(states[:, :8], untyped[:, :8], atol=1e-3)


@each
@pytest.mark.parametrize("masked", [True, False])
def test_weights_are_those_of_the_folder(kind: str, masked: bool, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = save(kind, tmp_path / "model", masked=masked)
    problem, stored = made(folder), load_file(folder / "model.safetensors")
    found = problem.load_checkpoint(folder).model.state_dict()
    prefix = f"{kind}." if masked else ""
    assert len(found) > 15
    assert all(torch.equal(tensor, stored[prefix + name]) for name, tensor in found.items())
    assert bool(masked_lm_head(folder)) == masked
    old = {
        name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): one for name, one in stored.items()
    }
    save_file(old, folder / "model.safetensors")  # as BERT was first published
    again = problem.load_checkpoint(folder).model.state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in found.items())


@each
def test_the_masked_lm_head_is_that_of_the_folder(kind: str, saved: Callable[[str], Path]) -> None:
    from transformers import AutoModelForMaskedLM

    problem, tokens = made(saved(kind)), torch.tensor([[2, 9, 4, 7, 3]])
    encoder, heads = problem.load_checkpoint(saved(kind)).eval(), problem.load_heads(saved(kind))
    expected = AutoModelForMaskedLM.from_pretrained(saved(kind)).eval()(tokens).logits
    torch.testing.assert_close(heads["masked-lm"](encoder(tokens), encoder.words), expected, rtol=1e-4, atol=1e-5)


@each
def test_all_ways_of_differentiating_agree(kind: str, saved: Callable[[str], Path]) -> None:
    encoder = made(saved(kind)).load_checkpoint(saved(kind)).double().train()
    tokens = torch.tensor([[2, 9, 8, 7, 3, 20, 21, 3], [2, 30, 31, 3, 0, 0, 0, 0]])
    present = {name: p.detach() for name, p in encoder.named_parameters()}
    draws = torch.Generator().manual_seed(0)
    along = {name: torch.randn(p.shape, generator=draws, dtype=p.dtype) for name, p in present.items()}

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        torch.manual_seed(0)
        return torch.func.functional_call(encoder, parameters, (tokens,))[:, 0].pow(3).mean()

    def slope(gradient: dict[str, Tensor]) -> Tensor:
        return torch.stack([(gradient[name] * along[name]).sum() for name in along]).sum()

    gradient = torch.func.grad(loss)(present)
    forward = torch.func.jvp(loss, (present,), (along,))[1]
    assert forward.item() == pytest.approx(slope(gradient).item(), rel=1e-8)
    twice = torch.func.grad(lambda at: slope(torch.func.grad(loss)(at)))(present)
    over = torch.func.jvp(torch.func.grad(loss), (present,), (along,))[1]
    assert slope(twice).item() == pytest.approx(slope(over).item(), rel=1e-8)


# --- whole cells


@pytest.mark.parametrize("start", ["checkpoint", "pretrain"])
def test_a_cell_of_tapweight_runs_with_it(start: str, saved: Callable[[str], Path], tmp_path: Path) -> None:
    folder = saved("bert")
    named = (
        f"text.model={folder}",
        f"start.kind={start}",
        *((f"start.checkpoint={folder}",) * (start == "checkpoint")),
    )
    rules = load("smoke", [*ASSIGNMENTS, "continued.steps=2", "finetune.epochs=1", *named])
    prepare_pairs([("tapweight", get(TASK), "roberta")], rules, mirror=None, download=False, workers=1)
    fitting, skipped = planning.pairs(["tapweight"], [get(TASK)])
    cells = planning.make(fitting, skipped, (0,), rules, scan(tmp_path))
    ends = list(InProcess(1).run(planning.jobs(cells, rules, tmp_path, "cpu")))
    assert not [end for end in ends if not end.ok]
    (record,) = scan(tmp_path).records
    planned = chain.build("tapweight", TASK, "roberta", 0, rules)
    assert record.identity == planned.cell.identity
    assert 0 <= record.scores["best"]["test"]["accuracy"] <= 1
    assert str(folder) not in json.dumps([link.stage.key(link.spec) for link in planned.links])


def test_published_weights_may_be_named(saved: Callable[[str], Path], tmp_path: Path, own_home: Path) -> None:
    from transformers import AutoConfig, AutoModelForMaskedLM

    from tests.tasks.text.small import tokenizer

    folder = tmp_path / "mirror" / "models" / "roberta-base"
    config = AutoConfig.for_model("roberta", vocab_size=340, **SIZES, type_vocab_size=2, max_position_embeddings=66)
    AutoModelForMaskedLM.from_config(config).save_pretrained(folder)
    model = json.loads(tokenizer().backend.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(tokenizer().backend.get_vocab()), encoding="utf-8")
    (folder / "merges.txt").write_text("".join(f"{a} {b}\n" for a, b in model["merges"]), encoding="utf-8")
    named = ("text.model=roberta-base", "start.kind=checkpoint", "start.checkpoint=roberta-base")
    chosen = settings("roberta-base")
    with pytest.raises(NotPreparedError, match=r"text\.model: roberta-base is not at .*--set text\.model=FOLDER"):
        prepare([get(TASK)], chosen, mirror=None, download=False, workers=1, say=lambda _: None)
    prepare_tasks(TASK, "finetune", "smoke", named, str(tmp_path / "mirror"), 1, None)
    assert (home() / "models" / "roberta-base" / pretrained.VERIFIED).is_file()
    assert prepared("roberta-base") == prepared(folder)
    found = load_saved(chosen.text, suite="demo")
    assert found.separators == 2
    assert made("roberta-base").encoder().separator is None  # RoBERTa's tokenizer has no token types
    assert found.encode(sentences(20)) == tokenizer().encode(sentences(20))
    with pytest.raises(
        RequestError, match=r"text\.model: expected a model of text, got gin-attrmask, which is for gin"
    ):
        prepare_tasks(TASK, "finetune", "smoke", ("text.model=gin-attrmask",), None, 1, None)
