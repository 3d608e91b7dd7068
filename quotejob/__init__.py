"""The rooms: jobs, plan, pages, pricing, commit. They import neither ``api`` nor ``tasks``."""
