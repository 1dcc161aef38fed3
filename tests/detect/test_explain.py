"""`seawall why`: evidence, guards, author, end, all of it in sentences."""

from tests.detect.test_stage import begun
from tests.detect.world import AT, BOTNET, finding

from seawall.detect import stage
from seawall.detect.explain import why
from seawall.detect.ledger import Ledger


def test_an_automatic_verdict_says_why_with_all_guards() -> None:
    ledger = Ledger()
    held = begun(ledger, found=finding(BOTNET))

    answer = why(ledger, held.id)

    assert answer is not None and answer.ended == ""
    text = "\n".join(answer.sentences())
    assert all(f"Guard P{number} " in text for number in range(1, 11))
    assert "agent=bot/1" in text and "created" in text


def test_a_verdict_that_is_over_can_still_be_explained() -> None:
    ledger = Ledger()
    held = begun(ledger)
    stage.end(ledger, held, AT, "it is enough.")

    answer = why(ledger, held.id)

    assert answer is not None and answer.sentences()[-1] == "Over: it is enough."
    assert why(ledger, "nobody") is None
