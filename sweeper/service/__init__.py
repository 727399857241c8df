"""The service: sweeps of several people on one cluster, behind one address"""
