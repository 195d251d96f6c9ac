"""What changes are looked for in: files and tables of data, and files of specs; and whether they are complete."""
