"""Weights in the layout of the released GINs, in files that the tests make."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from bench.errors import RequestError
from tasks.graph.checkpoint import load_by_name
from tasks.graph.gin import Gin, build_gin

LAYERS, WIDTH = 2, 6


def network(seed: int, layers: int = LAYERS, width: int = WIDTH) -> Gin:
    return build_gin("published", layers, width, 0.5, torch.Generator().manual_seed(seed))


def released(prefix: str = "", layers: int = LAYERS, width: int = WIDTH) -> OrderedDict[str, Tensor]:
    """The released layout, spelled out, in the order that the release has; every tensor another."""
    shapes: dict[str, tuple[int, ...]] = {"x_embedding1.weight": (120, width), "x_embedding2.weight": (3, width)}
    for k in range(layers):
        shapes[f"gnns.{k}.mlp.0.weight"], shapes[f"gnns.{k}.mlp.0.bias"] = (2 * width, width), (2 * width,)
        shapes[f"gnns.{k}.mlp.2.weight"], shapes[f"gnns.{k}.mlp.2.bias"] = (width, 2 * width), (width,)
        shapes[f"gnns.{k}.edge_embedding1.weight"] = (6, width)
        shapes[f"gnns.{k}.edge_embedding2.weight"] = (3, width)
    for k in range(layers):
        shapes |= {f"batch_norms.{k}.{name}": (width,) for name in ("weight", "bias", "running_mean", "running_var")}
        shapes[f"batch_norms.{k}.num_batches_tracked"] = ()
    draws = torch.Generator().manual_seed(11)
    return OrderedDict(
        (prefix + name, torch.rand(shape, generator=draws) if shape else torch.tensor(7))
        for name, shape in shapes.items()
    )


def equal(net: Gin, state: dict[str, Tensor], prefix: str = "") -> bool:
    own = net.state_dict()
    return all(torch.equal(tensor, state[prefix + name]) for name, tensor in own.items())


HEAD = {"graph_pred_linear.weight": torch.ones(12, WIDTH), "graph_pred_linear.bias": torch.ones(12)}


@pytest.mark.parametrize("prefix", ["", "gnn.", "molecule_model.", "module.gnn."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_released_layout_loads(tmp_path: Path, prefix: str, wrapper: str | None) -> None:
    state, net, path = released(prefix), network(1), tmp_path / "weights.pth"
    content = OrderedDict(state | HEAD)
    other = {"embedding.weight": torch.zeros(3)}
    torch.save(content if wrapper is None else {wrapper: content, "model_3D": other, "epoch": 3}, path)
    assert not equal(net, state, prefix)
    load_by_name(net, path)
    assert equal(net, state, prefix)


def test_files_of_old_torch_and_safetensors_load(tmp_path: Path) -> None:
    state = released("gnn.")
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)  # the releases are of 2019
    save_file(dict(state), tmp_path / "weights.safetensors")
    for name in ("old.pth", "weights.safetensors"):
        net = network(1)
        load_by_name(net, tmp_path / name)
        assert equal(net, state, "gnn."), name


def test_the_ogb_form_loads_what_it_saved(tmp_path: Path) -> None:
    one, other = (build_gin("ogb", 2, 4, 0.0, torch.Generator().manual_seed(seed)) for seed in (1, 2))
    torch.save({f"gnn.{name}": tensor for name, tensor in one.state_dict().items()}, tmp_path / "own.pth")
    load_by_name(other, tmp_path / "own.pth")
    assert equal(other, one.state_dict())
    torch.save(released(width=4), tmp_path / "released.pth")
    with pytest.raises(RequestError, match=r"expected gnns.0.bond_encoder.tables.0.weight, .* got none"):
        load_by_name(other, tmp_path / "released.pth")


def refused(net: Gin, content: object, path: Path, pattern: str) -> None:
    torch.save(content, path)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(RequestError, match=pattern) as caught:
        load_by_name(net, path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert equal(net, before)


@pytest.mark.parametrize("prefix", ["", "gnn."])
def test_what_does_not_fit_is_named(tmp_path: Path, prefix: str) -> None:
    net, path, state = network(1), tmp_path / "weights.pth", released(prefix)
    lacking = {name: tensor for name, tensor in state.items() if not name.endswith("gnns.1.edge_embedding1.weight")}
    refused(net, lacking, path, r"expected gnns.1.edge_embedding1.weight.*, got none")
    shallow = {name: tensor for name, tensor in state.items() if "s.1." not in name}
    refused(net, shallow, path, r"expected gnns.1.mlp.0.weight, gnns.1.mlp.0.bias and 9 more.*, got none")
    swapped = state | {f"{prefix}gnns.1.mlp.2.weight": torch.zeros(4, 12)}
    refused(net, swapped, path, r"expected gnns.1.mlp.2.weight of shape \(6, 12\), got \(4, 12\)")
    refused(net, released(prefix, width=8), path, r"of shape .*6.*, got .*8.*graph.width")
    refused(net, released(prefix, layers=3), path, r"a GIN of 2 layers \(graph.layers\), got also gnns.2.mlp.0.weight")


def test_other_files_are_refused(tmp_path: Path) -> None:
    net, path = network(1), tmp_path / "weights.pth"
    refused(net, {"a.weight": torch.zeros(2)}, path, r"expected the names of the encoder .*, got a.weight")
    refused(net, {}, path, "got nothing")
    refused(net, {"state": 3}, path, "expected a state dict of tensors, bare or under 'state_dict' or 'model'")
    refused(net, [torch.zeros(2)], path, "expected a state dict of tensors")
    refused(net, {"model": released(), "made": Path("x")}, path, "without unpickling objects")
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(RequestError, match="without unpickling objects"):
        load_by_name(net, path)
    with pytest.raises(RequestError, match=r"start.checkpoint: expected a file, got .* which does not exist"):
        load_by_name(net, tmp_path / "absent.pth")
