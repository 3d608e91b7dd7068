"""Ids are what the platform's guides show, and new ones come in order."""

import pytest

from localorg.ids import IdFactory, normalise, to18

# Ids printed in Salesforce's own guides.
GUIDE_IDS = [
    "001D000000IRFmaIAH",
    "01gRO0000016PIAYA2",
    "006R0000003FPYxIAO",
    "003RO0000035WQgYAM",
    "7506g00000DhRA2AAN",
]


@pytest.mark.parametrize("known", GUIDE_IDS)
def test_the_checksum_is_the_platforms(known: str) -> None:
    assert to18(known[:15]) == known
    assert normalise(known) == normalise(known[:15]) == known


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "006",
        "006R0000003FPYxIA",
        "006R0000003FPYxIAP",
        "006r0000003FPYxIAO",
        "006R0000003FPY-",
        "\u0660" * 15,
        None,
        6,
    ],
)
def test_a_malformed_id_is_none(wrong: object) -> None:
    assert normalise(wrong) is None


def test_the_same_seed_makes_the_same_ids_in_ascending_order() -> None:
    first, second = IdFactory(3), IdFactory(3)
    made = [first.next("006") for _ in range(200)]
    assert made == [second.next("006") for _ in range(200)] == sorted(made)
    assert len(set(made)) == 200
    assert all(normalise(each) == each for each in made)
    assert first.next("001")[3:15] == made[0][3:15]


def test_another_seed_makes_other_ids() -> None:
    assert IdFactory(1).next("006") != IdFactory(2).next("006")


def test_a_resumed_factory_hands_out_no_id_again() -> None:
    first, second = IdFactory(3), IdFactory(3)
    made = [first.next("006") for _ in range(70)]
    second.resume(made[-1])
    second.resume(made[0])
    assert second.next("006") == first.next("006")
