"""Users' own code: what it is made of, and how it runs without harm to the rest.

Modules of users import the names from :mod:`quotejob`.
"""
