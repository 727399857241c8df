"""What is measured, watched, shown and kept of a training: its evaluations and its generator."""

from trials.evaluation.results import Evaluation, FinalScore, TrialResult, TrialState

__all__ = ["Evaluation", "FinalScore", "TrialResult", "TrialState"]
