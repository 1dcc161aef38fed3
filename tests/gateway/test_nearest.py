"""The name that was probably meant."""

from seawall.gateway.nearest import nearest


def test_the_nearest_name_is_found_but_not_a_far_one() -> None:
    assert nearest("wob", ["web", "shop", "wobble"]) == "web"
    assert nearest("checkout", ["chekcout", "checkin"]) == "chekcout"
    assert nearest("web", ["database"]) == ""
    assert nearest("web", ["cat"]) == ""
    assert nearest("web", []) == ""


def test_of_equally_near_names_the_first_is_taken() -> None:
    assert nearest("web", ["wez", "wea"]) == "wea"
