"""The command line: parses, calls, prints. Every command lives in a module of its own name."""

from pinnace.cli.app import main

__all__ = ["main"]
