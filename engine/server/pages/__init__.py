"""The pages of `engine serve`: HTML from templates, with the same content as JSON and its table as CSV.

To add a page, write a function that returns a `Page` (`page.py`: a template, its content as data, its table) for a
request, a template in `engine/server/templates/` that extends `base.html`, an address in `links.py`, and a line in
`pages.py`. The action of a form is a function that returns the address of the next page, and also a line in `pages.py`.
Everything else is implemented once: permissions (`engine.server.access`, `callers`, `sessions.py`, `login.py`), the
restriction to our own files (`page.PAGE_HEADERS`, `static_files.py`), masking of secrets and escaping (`PageForms`),
and errors (`PageForms.write_problem`).

Functions of pages run in threads and load no data library: they show stored results, by `engine.views`.
"""
