"""Who asks, and what they may: the guard before every route, and what only its owner may change"""
