"""Adversarial losses, one family a file. Exactly one is on.

`r` and `f` are raw scores of real and generated images, no sigmoid anywhere before them.
"""
