"""The state of a project as a whole: where it is and how large, copied, adopted, or only supposed."""
