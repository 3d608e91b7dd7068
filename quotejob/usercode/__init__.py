"""What users of quotejob write in Python: job types of their own, and what these are made of."""
