"""The sweep file of the design, which every reader of sweep files must understand."""

from __future__ import annotations

EXAMPLE = """\
name: quickstart
base:                                  # a TrialConfig; what is not given has its default
  data: {name: digits}
  steps: 1500
parameters:                            # dotted path into the trial config → domain
  optimizer.generator.lr: {distribution: log_uniform, min: 1.0e-5, max: 1.0e-2}
  batch_size: {values: [16, 32, 64, 128]}
  loss: {values: [non_saturating, hinge, wgan]}
  tricks.ema: {toggle: true}           # on or off
  tricks.ema.decay: {min: 0.9, max: 0.9999, when: {tricks.ema: true}}
  seed: {values: [0, 1, 2]}
objective: {metric: fid, goal: minimize}
search: {sampler: tpe, seed: 0}
scheduler: {name: asha, grace_steps: 300, reduction_factor: 3}
health: {stop_on: [divergence, convergence_failure, mode_collapse, diminished_gradient]}
seeds: {confirm_top: 3, replicates: 5}
limits: {trials: 20, parallel: 2, failed: 5, hours: 1}
resources: {cpu: 1, gpu: 0}
"""
