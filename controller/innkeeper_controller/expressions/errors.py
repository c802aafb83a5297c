"""What is wrong with an expression, and where."""

from innkeeper_plugins.errors import InnkeeperError


class ExpressionError(InnkeeperError):
    """An expression means nothing; whoever wrote it must act."""

    def __init__(self, text: str, position: int, message: str, *, suggestion: str = "") -> None:
        """Say where.

        Args:
            text: The whole expression.
            position: Where in it, characters from 0.
            message: One sentence.
            suggestion: What was probably meant; empty for no idea.
        """
        super().__init__(message)
        self.text = text
        self.position = position
        self.message = message
        self.suggestion = suggestion
