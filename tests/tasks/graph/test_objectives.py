"""Each objective against values computed by hand or another way, and forward mode against reverse mode."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from tasks.graph.gin import build_gin
from tasks.graph.objectives import (
    AttributeHead,
    ContextEncoder,
    GenerativeHead,
    attribute_masking,
    bond_masking,
    context_prediction,
    ebm_nce,
    generative,
    info_nce,
)
from tasks.randomness import generator

WIDTH = 5


def normal(name: str, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(0, name), dtype=torch.float64)


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def attribute_head() -> AttributeHead:
    return AttributeHead(WIDTH, True, generator(0, "head")).double()


def generative_head() -> GenerativeHead:
    return GenerativeHead(WIDTH, generator(0, "head")).double()


# --- attribute masking


def test_attribute_masking_by_hand() -> None:
    head, states = attribute_head(), normal("states", 6, WIDTH)
    logits = states @ head.atoms.weight.T + head.atoms.bias
    chances = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    found = attribute_masking(head, states, torch.tensor([4, 1]), torch.tensor([5, 118]))
    torch.testing.assert_close(found, -(chances[4, 5].log() + chances[1, 118].log()) / 2)


def test_bond_masking_by_hand() -> None:
    head, states = attribute_head(), normal("states", 6, WIDTH)
    assert head.bonds is not None
    logits = [(states[a] + states[b]) @ head.bonds.weight.T + head.bonds.bias for a, b in ((0, 3), (5, 2))]
    expected = -(logits[0].log_softmax(0)[3] + logits[1].log_softmax(0)[1]) / 2
    found = bond_masking(head, states, torch.tensor([[0, 5], [3, 2]]), torch.tensor([3, 1]))
    torch.testing.assert_close(found, expected)
    assert len(head.bonds.bias) == 4
    assert AttributeHead(WIDTH, False, generator(0, "head")).bonds is None


def test_a_molecule_s_hidden_types_can_be_learned() -> None:
    """Carbons and nitrogens in turn on a ring, one nitrogen and one carbon hidden."""
    atoms = torch.tensor([5, 6] * 4)[:, None] * torch.tensor([1, 0])
    ends = torch.stack([torch.arange(8), (torch.arange(8) + 1) % 8])
    ends, predicted = torch.cat([ends, ends.flip(0)], dim=1), torch.tensor([2, 5])
    targets = atoms[predicted, 0]
    atoms[predicted] = torch.tensor([119, 0])
    encoder, head = build_gin("published", 2, 16, 0.0, generator(0, "e")), AttributeHead(16, False, generator(0, "h"))
    optimiser = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=0.01)
    for _ in range(60):
        loss = attribute_masking(head, encoder(atoms, torch.zeros(16, 2), ends), predicted, targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.05  # log 119 = 4.8 at the start


# --- context prediction


def test_context_prediction_by_hand() -> None:
    centres = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]], dtype=torch.float64)
    contexts = torch.tensor([[2.0, 1.0], [1.0, -1.0], [0.5, 0.5]], dtype=torch.float64)
    positive, negative = (2.0, -2.0, 1.0), (1.0, 1.0, 3.0)  # the negatives of 0, 1, 2 are the contexts 1, 2, 0
    expected = -sum(math.log(logistic(x)) for x in positive) / 3 - sum(math.log(1 - logistic(x)) for x in negative) / 3
    assert context_prediction(centres, contexts).item() == pytest.approx(expected, rel=1e-12)


def test_the_context_vector_is_the_mean_over_the_overlap() -> None:
    network = build_gin("published", 3, WIDTH, 0.0, generator(0, "c"))
    atoms = torch.tensor([[5, 0], [6, 0], [7, 1], [5, 0], [8, 0]])
    ends = torch.tensor([[0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3]])
    molecule, overlap = torch.tensor([0, 0, 0, 1, 1]), torch.tensor([0, 2, 4])
    bonds = torch.zeros(6, 2, dtype=torch.long)
    found = ContextEncoder(network)(atoms, bonds, ends, molecule, overlap, 2)
    states = network(atoms, bonds, ends)
    torch.testing.assert_close(found, torch.stack([(states[0] + states[2]) / 2, states[4]]))


# --- GraphMVP, contrastive

X = torch.tensor([[3.0, 4.0], [0.0, 2.0], [5.0, 0.0]], dtype=torch.float64)  # directions (.6, .8), (0, 1), (1, 0)
Y = torch.tensor([[1.0, 0.0], [0.0, 7.0], [-4.0, 3.0]], dtype=torch.float64)  # directions (1, 0), (0, 1), (-.8, .6)
PRODUCTS = ((0.6, 0.8, 0.0), (0.0, 1.0, 0.6), (1.0, 0.0, -0.8))  # of the directions, x_a . y_b


def test_ebm_nce_by_hand() -> None:
    t = 0.2
    positive = -sum(math.log(logistic(PRODUCTS[a][a] / t)) for a in range(3)) / 3
    forth = -sum(math.log(1 - logistic(PRODUCTS[a][(a + 1) % 3] / t)) for a in range(3)) / 3
    back = -sum(math.log(1 - logistic(PRODUCTS[(a + 1) % 3][a] / t)) for a in range(3)) / 3
    assert forth != pytest.approx(back)
    assert ebm_nce(X, Y, t).item() == pytest.approx(positive + (forth + back) / 2, rel=1e-12)


def test_info_nce_by_hand() -> None:
    t = 0.5
    exponentials = [[math.exp(value / t) for value in row] for row in PRODUCTS]
    forth = -sum(math.log(exponentials[a][a] / sum(exponentials[a])) for a in range(3)) / 3
    back = -sum(math.log(exponentials[a][a] / sum(row[a] for row in exponentials)) for a in range(3)) / 3
    assert info_nce(X, Y, t).item() == pytest.approx((forth + back) / 2, rel=1e-12)


# --- GraphMVP, generative


def test_vrr_by_hand() -> None:
    head, x, y, noise = generative_head(), normal("x", 4, WIDTH), normal("y", 4, WIDTH), normal("noise", 2, 4, WIDTH)
    total = 0.0
    for direction, source, target, epsilon in (
        (head.from_graph, x, y, noise[0]),
        (head.from_conformer, y, x, noise[1]),
    ):
        mean = source @ direction.mean.weight.T + direction.mean.bias
        deviation = torch.exp(0.5 * (source @ direction.log_variance.weight.T + direction.log_variance.bias))
        first, _, _, last = direction.decoder
        hidden = (mean + epsilon * deviation) @ first.weight.T + first.bias
        hidden = (hidden - hidden.mean(0)) / torch.sqrt(hidden.var(0, correction=0) + 1e-5)
        reconstruction = hidden.clamp(min=0) @ last.weight.T + last.bias
        error = sum((reconstruction[a, i] - target[a, i]).item() ** 2 for a in range(4) for i in range(WIDTH)) / 20
        posterior = torch.distributions.Normal(mean, deviation)
        standard = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
        divergence = torch.distributions.kl_divergence(posterior, standard).sum(dim=1).mean().item()
        total += (error + 2.0 * divergence) / 2
    assert generative(head, x, y, noise, 2.0).item() == pytest.approx(total, rel=1e-12)


def test_targets_of_vrr_get_no_gradient() -> None:
    head, x, y = generative_head(), normal("x", 4, WIDTH), normal("y", 4, WIDTH)
    with torch.no_grad():
        for layer in (head.from_conformer.mean, head.from_conformer.log_variance):
            layer.weight.zero_()  # so y reaches the loss as a target alone
    y.requires_grad_()
    x.requires_grad_()
    loss = generative(head, x, y, normal("noise", 2, 4, WIDTH), 2.0)
    of_x, of_y = torch.autograd.grad(loss, (x, y))
    assert not of_y.any()
    assert of_x.any()


# --- common to all

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
LOSSES: dict[str, Loss] = {
    "atoms": lambda head, x, y: attribute_masking(head["a"], x + y, torch.tensor([1, 3]), torch.tensor([5, 6])),
    "bonds": lambda head, x, y: bond_masking(head["a"], x * y, torch.tensor([[1], [2]]), torch.tensor([3])),
    "context": lambda head, x, y: context_prediction(x, y),
    "ebm-nce": lambda head, x, y: ebm_nce(x, y, 0.2),
    "info-nce": lambda head, x, y: info_nce(x, y, 0.2),
    "vrr": lambda head, x, y: generative(head["g"], x, y, normal("noise", 2, 4, WIDTH), 2.0),
}


@pytest.mark.parametrize("name", LOSSES)
def test_forward_mode_equals_reverse_mode(name: str) -> None:
    head = nn.ModuleDict({"a": attribute_head(), "g": generative_head()})
    inputs = {"x": normal("x", 4, WIDTH), "y": normal("y", 4, WIDTH)}
    inputs |= {f"head.{key}": value.detach() for key, value in head.named_parameters()}
    along = {key: normal("along " + key, *value.shape) for key, value in inputs.items()}
    holder = nn.Module()
    holder.head = head
    holder.forward = lambda x, y: LOSSES[name](head, x, y)  # type: ignore[method-assign]

    def loss(point: dict[str, Tensor]) -> Tensor:
        found: Tensor = torch.func.functional_call(
            holder, {key: value for key, value in point.items() if key not in "xy"}, (point["x"], point["y"])
        )
        return found

    with forward_ad.dual_level():
        slope = forward_ad.unpack_dual(loss({k: forward_ad.make_dual(v, along[k]) for k, v in inputs.items()})).tangent
    leaves = {key: value.clone().requires_grad_() for key, value in inputs.items()}
    gradients = torch.autograd.grad(loss(leaves), list(leaves.values()), allow_unused=True)
    pairs = zip(gradients, along.values(), strict=True)
    expected = sum((one * other).sum() for one, other in pairs if one is not None)
    assert isinstance(expected, Tensor)
    torch.testing.assert_close(slope, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["context", "ebm-nce", "info-nce", "vrr"])
@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_molecules_give_no_loss_and_no_gradient(name: str, count: int) -> None:
    head = nn.ModuleDict({"g": generative_head()})
    x, y = (normal(side, count, WIDTH).requires_grad_() for side in "xy")
    loss = LOSSES[name](head, x, y)
    assert loss.item() == 0
    assert not any(gradient.any() for gradient in torch.autograd.grad(loss, (x, y)))  # NaN would count


def test_nothing_hidden_gives_no_loss_and_no_gradient() -> None:
    head, states, nothing = attribute_head(), normal("x", 4, WIDTH).requires_grad_(), torch.empty(0, dtype=torch.long)
    loss = attribute_masking(head, states, nothing, nothing) + bond_masking(head, states, nothing.expand(2, 0), nothing)
    assert loss.item() == 0
    assert not torch.autograd.grad(loss, states)[0].any()


# --- fresh heads


def test_heads_are_drawn_from_the_generator_alone() -> None:
    def heads(seed: int) -> nn.ModuleDict:
        draws = generator(seed, "head")
        return nn.ModuleDict({"a": AttributeHead(WIDTH, True, draws), "g": GenerativeHead(WIDTH, draws)})

    before = torch.get_rng_state()
    one, same, other = (heads(seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(tensor, same.state_dict()[name]) for name, tensor in one.state_dict().items())
    drawn = [name for name, p in one.named_parameters() if p.dim() > 1]
    assert all(not torch.equal(one.state_dict()[name], other.state_dict()[name]) for name in drawn)
    assert one.state_dict()["a.atoms.weight"].shape == (119, WIDTH)
