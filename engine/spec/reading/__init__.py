"""From the files of a spec to a project: what is included, message files, and the checks of the whole."""
