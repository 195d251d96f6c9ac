"""Charts as plain SVG, which pages, reports and mails share.

A chart takes a millisecond and needs no library, so a page draws dozens while it is asked for. The colours of a page
are CSS variables, and so follow light and dark mode; those of a mail are fixed, and its SVG becomes a PNG. A name in a
chart is text of a user: it is redacted, cut to the room that there is, and escaped. Each chart says what it shows to
those who do not see it: the page that has it gives the numbers as text or as a table beside it.
"""
