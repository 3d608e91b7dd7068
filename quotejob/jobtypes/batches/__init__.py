"""What all jobs that write in batches share: the packing, the records of a batch, and requests counted ahead."""
