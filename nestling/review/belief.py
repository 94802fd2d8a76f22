"""A logistic belief: prior weights on a few features, moved by answers as far as the answers go.

Maximum a posteriori under a normal prior, by Newton's method. scikit-learn's penalty pulls towards 0, not towards a
prior, and its solvers stop where a tolerance bids; here are fewer than ten weights and a strictly convex loss, so that
a dozen exact steps end at the one minimum. Knows numbers; nothing of queries or people.
"""

import numpy as np
from scipy.special import expit

_STEPS = 100  # a dozen do; the loss is convex, and a step that would raise it is halved
_SMALL = 1e-9


def update(prior: np.ndarray, spread: float, features: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Return the likeliest weights after what was said; the prior where nothing was.

    Sums run in numpy's own loops, not in BLAS, so that they do not hang on the number of threads.

    Args:
        prior: [features] mean weights.
        spread: standard deviation of each weight about its prior.
        features: [answers, features].
        said: [answers] 0 or 1.
    """
    weights = prior.astype(np.float64)
    for _ in range(_STEPS):
        chance = expit(scores(features, weights))
        slope = np.einsum("nf,n->f", features, chance - said) + (weights - prior) / spread**2
        curve = np.einsum("nf,n,ng->fg", features, chance * (1 - chance), features) + np.eye(len(prior)) / spread**2
        step = np.linalg.solve(curve, slope)
        before = _loss(weights, prior, spread, features, said)
        while _loss(weights - step, prior, spread, features, said) > before and np.abs(step).max() > _SMALL:
            step = step / 2
        weights = weights - step
        if np.abs(step).max() <= _SMALL:
            break
    return weights


def scores(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return [answers] the log odds."""
    return np.asarray(np.einsum("nf,f->n", features, weights))


def _loss(weights: np.ndarray, prior: np.ndarray, spread: float, features: np.ndarray, said: np.ndarray) -> float:
    odds = scores(features, weights)
    return float((np.logaddexp(0, odds) - said * odds).sum() + ((weights - prior) ** 2).sum() / (2 * spread**2))
