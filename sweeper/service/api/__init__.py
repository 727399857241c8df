"""The API under /api/v1: routers, shapes, event streams"""
