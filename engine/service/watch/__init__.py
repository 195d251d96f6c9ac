"""`engine watch`: observes the files of projects, and runs what their changes affect."""
