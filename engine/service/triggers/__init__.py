"""What is due: which runs the triggers of a spec ask for, and which of them to start.

Everything here is computed from what is given: the project, what is known of its triggers, and the clock as a value.
Nothing reads a file, a database or a clock. Moments are in UTC wherever they are compared, because two times of one
time zone compare by what its clocks show, which is wrong in the night in which they are set back.
"""
