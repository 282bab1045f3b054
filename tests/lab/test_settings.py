"""What a person may set, and what is refused."""

import pytest

from lab import Resources, Settings
from lab.errors import SpecError


def test_patience_is_taken_from_the_environment(tmp_path):
    assert Settings.load({"LAB_PATIENCE": "12.5"}, tmp_path).patience == 12.5
    assert Settings.load({}, tmp_path).patience == 300


@pytest.mark.parametrize("words", ["soon", "0", "-3", "nan", "inf"])
def test_a_patience_that_is_no_time_is_refused_in_one_line(tmp_path, words):
    with pytest.raises(SpecError, match=r"^LAB_PATIENCE is a number of seconds, more than 0, got .*\.$"):
        Settings.load({"LAB_PATIENCE": words}, tmp_path)


def test_fewer_workers_than_one_or_more_than_asked_for_are_refused():
    for number in (0, 3):
        with pytest.raises(SpecError, match=rf"--min-workers must be 1 to --workers \(2\), got {number}\."):
            Resources(workers=2, min_workers=number)
