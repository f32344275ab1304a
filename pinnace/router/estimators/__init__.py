"""Estimators: what to expect of each model on a request, before any of them runs.

`features` turns requests into rows; each learner (`kinds`, `clusters`, `neighbours`, `linear`) predicts
scores from rows in one way; `stack` weighs them by what they predict on rows that they have not seen, and
`quality` is what the router uses; `costs` predicts what an answer costs. As in scikit-learn `fit` returns
self, fitted attributes end in `_`, `random_state` fixes what is drawn.
"""
