"""Numbers as a person reads them."""

from __future__ import annotations

_EXACT_BELOW = 10_000  # tokens


def duration(seconds: float, *, whole: bool = False) -> str:
    """For a person: `0.3 s`, `12 s`, `2 min 05 s`, `1 h 02 min`; `whole`: seconds that have passed, without tenths."""
    if seconds < 9.95 and not whole:
        return f"{seconds:.1f} s"
    passed = int(seconds) if whole else round(seconds)
    minutes, rest = divmod(passed, 60)
    if not minutes:
        return f"{rest} s"
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def tokens(count: int) -> str:
    """1,234, 12.3k, 1.23M."""
    if count < _EXACT_BELOW:
        return f"{count:,}"
    return f"{count / 1000:.1f}k" if count < 999_950 else f"{count / 1_000_000:.2f}M"


def dollars(amount: float) -> str:
    """$12.34, $0.0123; of less than that, that it is."""
    if amount < 0.0001:
        return "less than $0.0001"
    return f"${amount:,.2f}" if amount >= 0.99995 else f"${amount:.4f}"
