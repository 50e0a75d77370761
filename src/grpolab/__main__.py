"""`python -m grpolab` is the command `grpolab`."""

from grpolab.cli import main

if __name__ == "__main__":
    main()
