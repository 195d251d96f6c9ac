"""What runs while nobody looks: watching the files of a project, and running what their changes concern.

Nothing here imports polars or a user's code: runs are requested from a process of their own (`scenarios.process`), so
that this process stays small and lives on whatever becomes of them.
"""
