"""Code of quotejob's users: what they write it with, and how it runs without harm to the rest."""
