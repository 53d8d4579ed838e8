"""`python -m orchestration.cli`: the command `raisonne` where it is not installed."""

from orchestration.cli.main import main

main()
