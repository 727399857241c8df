"""What several tricks share and none of them owns: bases, and mathematics of images and weights."""
