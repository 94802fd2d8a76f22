"""What ir_measures, and through it trec_eval, say of a run: the oracle of our metrics."""

import ir_measures

ORACLE = {
    "ndcg@10": "nDCG@10",
    "mrr@10": "RR@10",
    "map@100": "AP@100",
    "accuracy@1": "Success@1",
    "accuracy@10": "Success@10",
    "recall@100": "R@100",
    "judged@10": "Judged@10",
}
_OURS = {ir_measures.parse_measure(theirs): ours for ours, theirs in ORACLE.items()}


def means(qrels, run):
    """Return the mean of each of METRICS over the queries of the qrels; a query that found nothing has no line."""
    run = {query: found for query, found in run.items() if found} if isinstance(run, dict) else run
    return {_OURS[measure]: value for measure, value in ir_measures.calc_aggregate(list(_OURS), qrels, run).items()}


def read_qrels(path):
    """Read a file of TREC's qrels."""
    return list(ir_measures.read_trec_qrels(str(path)))


def read_run(path):
    """Read a file of TREC's runs, compressed or not."""
    return list(ir_measures.read_trec_run(str(path)))
