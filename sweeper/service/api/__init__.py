"""/api/v1: one router a file over `service.actions`; shapes, pages of a list, problem responses"""
