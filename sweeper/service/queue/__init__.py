"""Who is next: how many trials each sweep may run now, and why not more. Pure

`arrange` is the whole of it. It has no database and no clock, and remembers nothing: each look
arranges everything anew, from the machines that there are, the people, what they have used of late,
and what their sweeps ask for.
"""
