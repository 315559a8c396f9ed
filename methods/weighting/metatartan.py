"""META-TARTAN: ascent on the scores of the terms, softmax at use (Dery et al. 2022, arXiv 2109.07437, Algorithm 1)."""

from __future__ import annotations

from torch import Tensor, float64, softmax, zeros

from methods.weighting.rule import Need, Signals, Weighting


class MetaTartan(Weighting):
    """w_k <- w_k + eta score_k, score_k = cos(v, g_k), or v . g_k (Eq. 7); s = softmax(w), w equal at first.

    ``jacobian`` puts the softmax's J_s = diag(s) - s s^T before the scores, which the paper leaves out.
    """

    least = 2
    state = ("w",)

    def __init__(
        self, n: int, seed: int = 0, *, eta: float, score: str = "cosine", order: str = "after", jacobian: bool = False
    ) -> None:
        super().__init__(n, seed)
        self.signal: Need = "alignment" if score == "dot" else "cosine"
        self.needs, self.before_step = frozenset({self.signal}), order == "before"
        self.eta, self.jacobian, self.w = eta, jacobian, zeros(n, dtype=float64)

    def weights(self) -> Tensor:
        return softmax(self.w, 0)

    def update(self, signals: Signals) -> None:
        """Raise the weights of terms whose gradient points where the validation loss falls."""
        score, s = signals.require(self.signal), self.weights()
        self.w = self.w + self.eta * (s * score - s * (s @ score) if self.jacobian else score)
