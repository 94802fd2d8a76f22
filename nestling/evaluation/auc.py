"""Area under the ROC curve of two lists of scores, with a bootstrap interval."""

import numpy as np
from scipy.stats import bootstrap, mannwhitneyu  # type: ignore[attr-defined]

_FEWEST = 2  # scores of either kind that a resample can differ in
_BATCH = 500  # resamples in memory at once


def auc(
    positive: np.ndarray, negative: np.ndarray, seed: int, replicates: int, *, paired: bool = False
) -> tuple[float, float | None, float | None]:
    """Return the AUC and the ends of its 95% percentile interval, to four digits; None for fewer than two scores.

    The AUC is the chance that a positive scores above a negative, ties counted half: Mann and Whitney's U (1947) as a
    share of all pairs.

    Args:
        positive: [positives], at least one score.
        negative: [negatives], likewise.
        seed: of the resamples.
        replicates: how many resamples.
        paired: whether the two lists score the same things in the same order, which are then drawn together; else
            positives and negatives are drawn apart, so that each resample has as many of either (Carpenter and
            Bithell, "Bootstrap confidence intervals", 2000).
    """

    def area(above: np.ndarray, below: np.ndarray, axis: int = -1) -> np.ndarray:
        found = mannwhitneyu(
            above, below, axis=axis, method="asymptotic"
        )  # the method is that of p, which is not used
        return np.asarray(found.statistic / (above.shape[axis] * below.shape[axis]))

    point = round(float(area(positive, negative)), 4)
    if min(len(positive), len(negative)) < _FEWEST:
        return point, None, None
    interval = bootstrap(
        (positive, negative),
        area,
        n_resamples=replicates,
        batch=_BATCH,
        vectorized=True,
        paired=paired,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return point, round(float(interval.low), 4), round(float(interval.high), 4)
