"""Ray clusters: one that is there is joined, else one of our own begins; what a cluster has."""
