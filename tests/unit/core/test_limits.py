"""Limits of one site, and when there is room again; the clock is the test's."""

from __future__ import annotations

from typing import Any

import pytest

from peersky.core.errors import SettingInvalid
from peersky.core.limits import UNLIMITED, LastMinute, checked_limits, limits_for
from peersky.core.settings_schema import setting


def common(key: str) -> int:
    value = setting(key).default
    assert isinstance(value, int)
    return value


def test_a_service_on_the_network_has_lower_limits_than_this_computer() -> None:
    here = limits_for(common, {}, is_site=True, cloud=False)
    there = limits_for(common, {}, is_site=True, cloud=True)
    assert 0 < there.tokens_per_minute < here.tokens_per_minute
    assert 0 < there.tokens_per_day < here.tokens_per_day
    assert here.parallel == there.parallel == common("limits.parallel")


def test_what_is_set_for_one_site_goes_before_what_holds_for_all() -> None:
    own = {"parallel": 1, "tokensPerDay": 7, "cloudTokensPerDay": 0}
    assert limits_for(common, own, is_site=True, cloud=False).tokens_per_day == 7
    assert limits_for(common, own, is_site=True, cloud=True).tokens_per_day == 0
    assert limits_for(common, own, is_site=False, cloud=False).parallel == 1


def test_the_user_and_the_browsers_own_pages_have_the_limits_alone_that_were_set_for_them() -> None:
    limits = limits_for(common, {}, is_site=False, cloud=True)
    assert (limits.parallel, limits.tokens_per_minute, limits.tokens_per_day) == (UNLIMITED, 0, 0)
    assert limits.waiting == common("limits.waiting")


@pytest.mark.parametrize(
    "values", [{"parallel": 0}, {"parallel": "2"}, {"parallel": True}, {"tokensPerDay": -1}, {"unknown": 1}]
)
def test_a_value_that_is_none_is_refused_by_name(values: dict[str, Any]) -> None:
    with pytest.raises(SettingInvalid, match=next(iter(values))):
        checked_limits(values)


def test_null_takes_a_limit_back() -> None:
    assert checked_limits({"parallel": 3, "tokensPerDay": None}) == {"parallel": 3}


def test_the_last_minute_moves_on() -> None:
    now = 100.0
    minute = LastMinute(lambda: now)
    minute.add(10)
    now = 130.0
    minute.add(5)
    assert minute.used() == 15
    assert minute.free_in_s(16) == 0
    assert minute.free_in_s(15) == 30
    assert minute.free_in_s(5) == 60
    now = 160.0
    assert minute.used() == 5
    now = 190.0
    assert minute.used() == 0
    assert minute.free_in_s(1) == 0
