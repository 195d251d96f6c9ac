"""What a state keeps no longer: which rows and files have expired, which are still needed, and their removal."""
