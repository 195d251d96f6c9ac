"""`python -m engine`: the command line if the `engine` script is not on the path."""

from engine.cli.main import main

if __name__ == "__main__":
    main()
