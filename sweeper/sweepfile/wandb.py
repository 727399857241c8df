"""What a sweep file of Weights & Biases has and this one has not, and what to write instead.

The words of a domain are theirs (`values`, `min`, `distribution`), so a file is brought over by
hand; each key that cannot stay gets its hint, all of them at once.
"""

from __future__ import annotations

from collections.abc import Mapping

SECTIONS: Mapping[str, str] = {
    "program": "nothing: `base` says what is trained, and no program is started",
    "command": "nothing: `base` says what is trained, and no command is started",
    "method": "`search: {sampler: tpe}` for bayes, `{sampler: random}`, `{sampler: grid}`",
    "metric": "`objective: {metric: fid, goal: minimize}`",
    "early_terminate": "`scheduler: {name: hyperband, grace_steps: 300}`, in training steps",
    "run_cap": "`limits: {trials: 50}`",
    "project": "`name`, which is the name in MLflow too",
    "entity": "nothing: a sweep belongs to whoever is logged in",
}
"""Section of such a file → what to write in its place."""

SETTINGS: Mapping[str, str] = {
    "probabilities": "no `probabilities`: the sampler learns which values are good",
    "parameters": "dotted paths in place of nesting: `optimizer.generator.lr: {…}`",
    "mu": "a range: `min` and `max`",
    "sigma": "a range: `min` and `max`",
}
"""Key of a domain → what to write in its place."""

_BELL = "a range that covers what matters: `min` and `max`, about mu - 2 sigma to mu + 2 sigma"
DISTRIBUTIONS: Mapping[str, str] = {
    "normal": _BELL,
    "q_normal": f"{_BELL}, with `q`",
    "log_normal": "`distribution: log_uniform` with `min` and `max`, the values themselves",
    "q_log_normal": "`distribution: q_log_uniform_values` with `min`, `max` and `q`",
    "q_log_uniform": "`distribution: q_log_uniform_values`; bounds are the values themselves",
    "inv_log_uniform": "`distribution: log_uniform` with `min` and `max`, the values themselves",
    "inv_log_uniform_values": "`distribution: log_uniform` with `min` and `max`",
    "beta": "`min` and `max`",
}
"""Distribution → what to write in its place."""
