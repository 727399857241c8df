"""How good a generator is: feature extractors, measures and the protocol that gives them meaning.

Names and words of the measures (`trials.metrics.measure`) can be read without torch, so
nothing is imported here.
"""
