"""Encoders: from a seed, from a folder, and through the three ways of differentiating."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.errors import RequestError
from methods.settings import StartSettings
from methods.stage import Uninterrupted
from methods.stages.start import start_stage
from tasks.backbones.roberta import architecture
from tasks.text.encoder import TextEncoder, build_encoder
from tasks.text.tokenizer import wrap
from tests.tasks.protocol import text_settings
from tests.tasks.text.small import problem, tokenizer

TEXT = text_settings(width=16)
ARCHITECTURE = architecture(TEXT, 340)
TOKENS = torch.tensor([[0, 9, 8, 7, 6, 2, 1, 1], [0, 20, 21, 22, 23, 24, 25, 2]])


def encoder(seed: int = 0, **changes: Any) -> TextEncoder:
    return build_encoder(ARCHITECTURE | changes, seed)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


# --- from a seed


def test_weights_come_from_the_seed_alone() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    one = encoder()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(4)
    assert same(one, encoder())
    assert not same(one, encoder(seed=1))
    assert one.training
    assert one.words.shape == (340, 16)
    assert not [name for name, _ in one.named_parameters() if "pooler" in name]


def test_the_published_size_is_roberta_base() -> None:
    paper = architecture(text_settings(layers=12, width=768, heads=12, tokens=256), 50265)
    with torch.device("meta"):
        made = build_encoder(paper, 0)
    parts = {name: sum(p.numel() for p in getattr(made.model, name).parameters()) for name in ("embeddings", "encoder")}
    assert parts == {"embeddings": 39_000_576, "encoder": 85_054_464}
    assert paper["max_position_embeddings"] == 514


def test_width_and_heads_must_fit() -> None:
    with pytest.raises(RequestError, match=r"text\.width: expected a multiple of text\.heads, 3, got 16"):
        architecture(text_settings(width=16, heads=3), 340)


def test_any_architecture_of_the_library_will_do() -> None:
    made = build_encoder(
        {"model_type": "bert", "vocab_size": 340, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
         "intermediate_size": 32, "pad_token_id": 1, "sep_token_id": 2}, 0,
    )  # fmt: skip
    assert made(TOKENS).shape == (2, 8, 16)
    assert not [name for name, _ in made.named_parameters() if "pooler" in name]


def test_padding_changes_nothing() -> None:
    made = encoder().double().eval()
    short, wide = TOKENS[:1, :6], torch.cat([TOKENS[:1], torch.ones(1, 40, dtype=torch.long)], dim=1)
    torch.testing.assert_close(made(short), made(wide)[:, :6], rtol=0, atol=1e-10)
    torch.testing.assert_close(made(short)[0], made(TOKENS)[0, :6], rtol=0, atol=1e-10)


def test_dropout_follows_the_global_generator() -> None:
    made, states = encoder(), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(made(TOKENS))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


# --- differentiated


def setting(training: bool) -> tuple[Any, dict[str, Tensor], dict[str, Tensor]]:
    made = encoder().double().train(training)
    present = {name: p.detach() for name, p in made.named_parameters()}
    draws = torch.Generator().manual_seed(0)
    along = {name: torch.randn(p.shape, generator=draws, dtype=p.dtype) for name, p in present.items()}

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        torch.manual_seed(0)
        states: Tensor = torch.func.functional_call(made, parameters, (TOKENS,))
        return states[:, 0].pow(3).mean()

    return loss, present, along


def slope(gradient: dict[str, Tensor], along: dict[str, Tensor]) -> float:
    return float(sum((gradient[name] * along[name]).sum() for name in along))


@pytest.mark.parametrize("training", [True, False])
def test_all_ways_of_differentiating_agree(training: bool) -> None:
    loss, present, along = setting(training)
    expected = slope(torch.func.grad(loss)(present), along)
    assert torch.func.jvp(loss, (present,), (along,))[1].item() == pytest.approx(expected, rel=1e-8)
    with torch.no_grad(), forward_ad.dual_level():
        dual = {name: forward_ad.make_dual(p, along[name]) for name, p in present.items()}
        assert forward_ad.unpack_dual(loss(dual)).tangent.item() == pytest.approx(expected, rel=1e-8)
        # Also where only a late parameter moves.
        name = "model.encoder.layer.0.output.dense.weight"
        late = forward_ad.unpack_dual(loss({**present, name: dual[name]})).tangent
    assert late is not None
    # The second derivative along v: twice backwards, and forwards over backwards.
    twice = torch.func.grad(lambda at: slope_of(torch.func.grad(loss)(at), along))(present)
    over = torch.func.jvp(torch.func.grad(loss), (present,), (along,))[1]
    assert slope(twice, along) == pytest.approx(slope(over, along), rel=1e-8)
    high, low = (loss({name: p + sign * 1e-4 * along[name] for name, p in present.items()}) for sign in (1, -1))
    curved = (high - 2 * loss(present) + low) / 1e-8
    assert slope(twice, along) == pytest.approx(curved.item(), rel=1e-3)


def slope_of(gradient: dict[str, Tensor], along: dict[str, Tensor]) -> Tensor:
    return torch.stack([(gradient[name] * along[name]).sum() for name in along]).sum()


def test_fused_attention_is_left_only_where_it_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[bool] = []

    def counted(backend: Any) -> Any:
        assert backend == SDPBackend.MATH
        used.append(True)
        return sdpa_kernel(backend)

    monkeypatch.setattr("tasks.text.encoder.sdpa_kernel", counted)
    loss, present, along = setting(False)
    encoder()(TOKENS).sum().backward()
    with torch.no_grad():
        loss(present)
    torch.func.grad_and_value(loss)(present)
    with forward_ad.dual_level():
        loss(present)  # nothing is dual
    assert not used
    torch.func.jvp(loss, (present,), (along,))
    assert len(used) == 1
    fused, simple = setting(False)[0](present), None
    with sdpa_kernel(SDPBackend.MATH):
        simple = setting(False)[0](present)
    torch.testing.assert_close(fused, simple, rtol=1e-10, atol=0)


# --- from a folder


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked-LM model as the library saves it, with its tokenizer."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    folder = tmp_path_factory.mktemp("model")
    with torch.random.fork_rng():
        torch.manual_seed(8)
        model = AutoModelForMaskedLM.from_config(AutoConfig.for_model(**ARCHITECTURE))
        for parameter in model.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
    model.save_pretrained(folder)
    tokenizer().backend.save(str(folder / "tokenizer.json"))
    assert {"config.json", "model.safetensors"} <= {path.name for path in folder.iterdir()}
    return folder


def altered(saved: Path, folder: Path, drop: str = "", **changes: Any) -> Path:
    for path in saved.iterdir():
        if path.name != drop:
            (folder / path.name).write_bytes(path.read_bytes())
    if changes:
        config = json.loads((saved / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    return folder


def test_a_saved_model_gives_the_same_features_and_logits(saved: Path) -> None:
    from transformers import AutoModel, AutoModelForMaskedLM

    made, _ = problem()
    loaded, heads = made.load_checkpoint(saved).eval(), made.load_heads(saved)
    features = made.features(loaded, {"tokens": TOKENS})
    reference = AutoModel.from_pretrained(saved).eval()
    expected = reference(TOKENS, attention_mask=TOKENS != 1).last_hidden_state[:, 0]
    torch.testing.assert_close(features, expected)
    logits = AutoModelForMaskedLM.from_pretrained(saved).eval()(TOKENS, attention_mask=TOKENS != 1).logits
    torch.testing.assert_close(heads["masked-lm"](loaded(TOKENS), loaded.words), logits, rtol=1e-4, atol=1e-5)
    fresh = made.objective_heads()
    assert not same(fresh["masked-lm"], heads["masked-lm"])
    assert same(fresh["split-order"], heads["split-order"])
    encoder().load_state_dict(loaded.state_dict())  # a later stage starts from it


def test_pickled_weights_of_tensors_alone_will_do(saved: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    folder = altered(saved, tmp_path, drop="model.safetensors")
    torch.save(load_file(saved / "model.safetensors"), folder / "pytorch_model.bin")
    made, _ = problem()
    assert same(made.load_checkpoint(folder), made.load_checkpoint(saved))
    torch.save({"weights": Path("object")}, folder / "pytorch_model.bin")
    with pytest.raises(RequestError, match="read without unpickling objects"):
        made.load_checkpoint(folder)


def test_shards_will_do(saved: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForMaskedLM

    AutoModelForMaskedLM.from_pretrained(saved).save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    made, _ = problem()
    assert same(made.load_checkpoint(tmp_path), made.load_checkpoint(saved))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vocab_size": 200}, r"vocab_size 340 as the tokenizer has it, got 200; the tokenizer does not fit"),
        ({"num_hidden_layers": 2}, r"num_hidden_layers 1 as text\.layers has it, got 2"),
        ({"num_attention_heads": 4}, r"num_attention_heads 2 as text\.heads has it, got 4"),
        ({"max_position_embeddings": 130}, r"max_position_embeddings 514 .*got 130"),
        ({"model_type": "bert"}, r"model_type 'roberta', got 'bert'; with --set text\.model=.* its architecture"),
        ({"model_type": "nothing-known"}, "a model that transformers knows"),
        ({"drop": "model.safetensors"}, r"expected weights, model\.safetensors .*got a folder without"),
        ({"drop": "config.json"}, r"got one without config\.json"),
    ],
)
def test_what_does_not_fit_is_refused(saved: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = altered(saved, tmp_path, **change)
    with pytest.raises(RequestError, match=said) as caught:
        problem()[0].load_checkpoint(folder)
    assert str(caught.value).startswith(f"checkpoint {folder}: expected ")
    assert "\n" not in str(caught.value)


def test_damaged_weights_and_other_tokenizers_are_refused(saved: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    made, folder = problem()[0], altered(saved, tmp_path)
    weights = load_file(saved / "model.safetensors")
    del weights["roberta.encoder.layer.0.output.dense.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(RequestError, match=r"expected encoder\.layer\.0\.output\.dense\.weight of shape .*got none"):
        made.load_checkpoint(folder)
    (folder / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(RequestError, match="without unpickling objects, got files that cannot"):
        made.load_checkpoint(folder)
    (folder / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes())
    other = json.loads((saved / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = other["model"]["vocab"]
    one, two = list(vocabulary)[-2:]
    vocabulary[one], vocabulary[two] = vocabulary[two], vocabulary[one]
    (folder / "tokenizer.json").write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(RequestError, match="got one of 340 with other tokens or numbers"):
        made.load_checkpoint(folder)
    (folder / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(RequestError, match="expected a readable tokenizer"):
        made.load_checkpoint(folder)
    with pytest.raises(RequestError, match="got no folder"):
        made.load_checkpoint(folder / "absent")
    assert wrap(tokenizer().backend).checksum == tokenizer().checksum


def test_a_run_starts_from_the_folder_of_a_saved_model(saved: Path, tmp_path: Path) -> None:
    made, _ = problem()
    stage = start_stage(StartSettings(kind="checkpoint", checkpoint=str(saved)))
    stage.check()
    started = stage.run(made, {}, Uninterrupted()).weights
    loaded, heads = made.load_checkpoint(saved), made.load_heads(saved)
    for name, module in (("encoder", loaded), ("heads", heads)):
        expected = module.state_dict()
        assert started[name].keys() == expected.keys()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in started[name].items())
    elsewhere = start_stage(StartSettings(kind="checkpoint", checkpoint=str(altered(saved, tmp_path))))
    assert elsewhere.key(made.spec) == stage.key(made.spec)  # known by content, not by path
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert elsewhere.key(made.spec) != stage.key(made.spec)
