"""Charts as plain SVG, shared by pages, reports and mails.

A chart takes a millisecond and needs no library, so a page draws dozens per request. The colours of a page are CSS
variables, so they follow light and dark mode; those of a mail are fixed, and its SVG becomes a PNG. A name in a chart
is a user's text: it is redacted, cut to the available width, and escaped. For readers who cannot see a chart, its page
gives the numbers as text or as a table.
"""
