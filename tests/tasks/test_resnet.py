"""ResNet-18 against another implementation, and checkpoints read by position."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench.errors import RequestError
from tasks.heads import linear
from tasks.image.checkpoint import load_by_position
from tasks.image.resnet import ResNet18, resnet18


def network(width: int = 8, seed: int = 0) -> ResNet18:
    return resnet18(width, torch.Generator().manual_seed(seed))


def test_published_width_has_the_published_counts() -> None:
    net = network(64)
    assert len(net.state_dict()) == 120
    assert len(list(net.parameters())) == 60
    assert sum(parameter.numel() for parameter in net.parameters()) == 11_176_512
    names = list(net.state_dict())
    assert names[:3] == ["conv1.weight", "bn1.weight", "bn1.bias"]
    assert "layer2.0.downsample.0.weight" in names
    assert "layer4.1.bn2.num_batches_tracked" in names


def test_equals_the_resnet_of_transformers() -> None:
    from transformers import ResNetConfig, ResNetModel

    width = 16
    sizes = [width, 2 * width, 4 * width, 8 * width]
    oracle = ResNetModel(
        ResNetConfig(embedding_size=width, hidden_sizes=sizes, depths=[2, 2, 2, 2], layer_type="basic")
    )
    net = network(width)
    with torch.no_grad():  # statistics other than 0 and 1, so that mapping them wrongly shows
        draws = torch.Generator().manual_seed(1)
        for buffer in net.buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, generator=draws) + 0.5)
    mapped = {}
    for name, tensor in net.state_dict().items():
        parts = name.split(".")
        if parts[0] in ("conv1", "bn1"):
            where = "embedder.embedder"
            module = "convolution" if parts[0] == "conv1" else "normalization"
        else:
            where = f"encoder.stages.{int(parts[0][-1]) - 1}.layers.{parts[1]}"
            if parts[2] == "downsample":
                where += ".shortcut"
                module = ("convolution", "normalization")[int(parts[3])]
            else:
                where += f".layer.{int(parts[2][-1]) - 1}"
                module = "convolution" if parts[2].startswith("conv") else "normalization"
        mapped[f"{where}.{module}.{parts[-1]}"] = tensor
    oracle.load_state_dict(mapped)
    images = torch.rand((3, 3, 64, 64), generator=torch.Generator().manual_seed(2))
    for mode in (True, False):
        net.train(mode)
        oracle.train(mode)
        with torch.no_grad():
            expected = oracle(images).pooler_output.flatten(1)
            got = net(images)
        assert got.shape == (3, 8 * width)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_start_is_seeded_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    one, same, other = network(seed=1), network(seed=1), network(seed=2)
    linear(4, 2, torch.Generator())
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(one.layer3[0].conv1.weight, same.layer3[0].conv1.weight)
    assert not torch.equal(one.layer3[0].conv1.weight, other.layer3[0].conv1.weight)


def test_start_has_the_published_spread() -> None:
    net = network(32)
    weight = net.layer4[1].conv2.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.01)
    assert weight.mean().item() == pytest.approx(0, abs=1e-3)
    for name, tensor in net.state_dict().items():
        if "bn" in name or "downsample.1" in name:
            one = name.endswith((".weight", "running_var"))
            assert bool((tensor == float(one)).all()), name


def test_linear_head_spread() -> None:
    head = linear(400, 300, torch.Generator().manual_seed(0))
    assert head.weight.abs().max().item() <= 1 / 20
    assert head.weight.std().item() == pytest.approx(1 / 20 / math.sqrt(3), rel=0.02)


def published(net: ResNet18) -> dict[str, torch.Tensor]:
    """As others save it: other names, in the same order, then a classifier."""
    state = {f"module.0.{index}": tensor for index, tensor in enumerate(net.state_dict().values())}
    return state | {"module.fc.weight": torch.zeros(2, 64), "module.fc.bias": torch.zeros(2)}


@pytest.mark.parametrize("wrapped", [True, False])
def test_checkpoint_is_copied_by_position(tmp_path: Path, wrapped: bool) -> None:
    source, target = network(seed=1), network(seed=2)
    content = published(source)
    torch.save({"state_dict": content, "epoch": 3} if wrapped else content, tmp_path / "weights.pth")
    load_by_position(target, tmp_path / "weights.pth")
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor), name


def test_safetensors_are_matched_behind_a_prefix(tmp_path: Path) -> None:
    source, target = network(seed=1), network(seed=2)
    content = {f"encoder.{name}": tensor for name, tensor in source.state_dict().items()}
    save_file(content | {"fc.weight": torch.zeros(2)}, tmp_path / "weights.safetensors")
    load_by_position(target, tmp_path / "weights.safetensors")
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor), name
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(RequestError, match="behind one prefix"):
        load_by_position(target, tmp_path / "other.safetensors")


def test_wrong_checkpoints_are_refused_in_one_line(tmp_path: Path) -> None:
    target = network(8)
    before = target.conv1.weight.clone()
    path = tmp_path / "weights.pth"
    torch.save(published(network(16)), path)
    with pytest.raises(
        RequestError, match=r"position 0: expected conv1.weight of shape \(8, 3, 7, 7\).*\(16, 3, 7, 7\)"
    ):
        load_by_position(target, path)
    swapped = published(network(8))
    swapped["module.0.119"] = torch.zeros(3)
    torch.save(swapped, path)
    with pytest.raises(RequestError, match="position 119"):
        load_by_position(target, path)
    torch.save(dict(list(published(network(8)).items())[:119]), path)
    with pytest.raises(RequestError, match="at least 120 entries, got 119"):
        load_by_position(target, path)
    torch.save({"state_dict": published(network(8)), "made": Path("x")}, path)
    with pytest.raises(RequestError, match="without unpickling objects") as caught:
        load_by_position(target, path)
    assert "\n" not in str(caught.value)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(RequestError, match="without unpickling objects"):
        load_by_position(target, path)
    with pytest.raises(RequestError, match=r"start.checkpoint: expected a file, got .* which does not exist"):
        load_by_position(target, tmp_path / "absent.pth")
    assert torch.equal(before, target.conv1.weight)
