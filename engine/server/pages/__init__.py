"""The pages of `engine serve`: HTML from templates, with the same content as JSON and its table as CSV.

To add a page, write a function that returns a `Page` (`page.py`: a template, its content as data, its table) for a
request, a template in `engine/server/templates/` that extends `base.html`, an address in `links.py`, and a line in
`pages.py`. What a form of a page asks for is a function that returns the address to go on to, and a line too. All the
rest stands once: who may see and do what (`engine.server.access`, `callers`, `sessions.py`, `login.py`), that nothing
but our own files is run or loaded (`page.PAGE_HEADERS`, `static_files.py`), that secrets are masked and texts are
escaped (`PageForms`), and what becomes of errors (`PageForms.write_problem`).

Functions of pages run in threads and load no data library: they show what runs have stored, by `engine.views`.
"""
