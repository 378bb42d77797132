"""Where ``r1`` and ``python -m r1kit`` begin."""

from r1kit.early import heed

__all__ = ["main"]


def main() -> None:
    """The command, which is imported once signals are heard."""
    heed()
    from r1kit import cli

    cli.main()


if __name__ == "__main__":
    main()
