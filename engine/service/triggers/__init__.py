"""What is due, and why: functions without files, clocks or a database."""
