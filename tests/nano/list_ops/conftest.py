from tests.tasks.code.conftest import trusting

__all__ = ["trusting"]
