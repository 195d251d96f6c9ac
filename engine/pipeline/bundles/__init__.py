"""What a bundle holds, how it is created, and the model versions of a released one."""
