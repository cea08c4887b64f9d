"""One bad thing never holds up another: quick forms of the storm of lines.

In full, with mutants: `python -m tests.storms P20`.
"""

from __future__ import annotations

import random

from tests.storms.line_faults import always, once, tried


def test_an_exception_at_any_line_leaves_two_orders_posted_and_the_third_visible_and_nothing_doubled() -> (
    None
):
    outcome = tried(random.Random("once").sample(once(), 10))
    assert outcome.kept, outcome.bad


def test_an_order_that_always_meets_an_exception_is_visible_and_holds_no_other_up() -> None:
    outcome = tried(random.Random("always").sample(always(), 6))
    assert outcome.kept, outcome.bad
