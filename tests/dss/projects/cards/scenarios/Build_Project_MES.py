# a script
