"""`python -m trainer`: hands over to the command line in `cli.py`."""

from trainer.cli import app

app(prog_name="python -m trainer")
