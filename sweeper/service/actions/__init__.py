"""What people do, one function each, for the pages and the API alike: checked, written, noted

Each takes the `Service` and the `Caller`, sees that they may, and writes what is wanted together
with its event and its line of the audit log in one transaction: all of it happens or nothing.
"""
