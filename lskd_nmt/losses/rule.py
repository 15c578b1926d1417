"""A rule about settings that do not go together, and how rules are asked."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from lskd_nmt.errors import LskdError

S = TypeVar("S")


@dataclass(frozen=True)
class Rule(Generic[S]):
    """Settings of which `broken` is true are refused with `message`, a template in which 0 stands for them."""

    name: str
    options: tuple[str, ...]
    reason: str
    broken: Callable[[S], bool]
    message: str

    def complaint(self, settings: S) -> str:
        """The line for a user whose settings break the rule, with the values and the remedy; empty if they do not."""
        return self.message.format(settings) if self.broken(settings) else ""


def complaints(rules: Sequence[Rule[S]], settings: S) -> list[str]:
    """The lines of all rules that the settings break, in the order of the rules."""
    return [line for rule in rules if (line := rule.complaint(settings))]


def require_compatible(rules: Sequence[Rule[S]], settings: S) -> None:
    """Refuse settings with the line of the first rule that they break."""
    for rule in rules:
        if line := rule.complaint(settings):
            raise LskdError(line)


def markdown(rules: Sequence[Rule[S]]) -> str:
    """Rules as the rows of a table for the docs: which options each is about, and why."""
    return "\n".join(f"| {', '.join(f'`{option}`' for option in rule.options)} | {rule.reason} |" for rule in rules)
