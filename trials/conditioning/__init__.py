"""How class labels enter a GAN. Exactly one method is on; `none` is one of them."""
