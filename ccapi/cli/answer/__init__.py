"""How an answer looks on a terminal."""

from ccapi.cli.answer.printer import AnswerPrinter

__all__ = ["AnswerPrinter"]
