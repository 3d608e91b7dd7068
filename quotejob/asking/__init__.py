"""What is asked of an org while a person or a program waits for the answer."""
