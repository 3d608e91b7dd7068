"""Users' own jobs in processes of their own: what goes in and out, the child's side, and the worker's."""
