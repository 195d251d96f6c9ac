"""The files and tables that are watched for changes, and the detection that changed files are complete."""
