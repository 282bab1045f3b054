"""What a person sees while something long is counted."""

import io

from lab.commands.progress import CountLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def counted(stream: io.StringIO, *, seconds: int, total: int, found: int = 0) -> str:
    """What is shown of 100 examples a second, of which some were found done at once."""
    clock = Clock()
    line = CountLine(stream, clock)
    line("write photos", 0, total)
    for _ in range(seconds * 10):
        clock.seconds += 0.1
        line("write photos", found + round(clock.seconds * 100), total)
    line.close()
    return stream.getvalue()


def test_a_terminal_sees_one_line_with_the_rate_and_the_time_that_is_left() -> None:
    shown = counted(Terminal(), seconds=10, total=61_000)
    assert shown.count("\n") == 1
    last = shown.rstrip().rpartition("\r")[2]
    assert last == "write photos  1,000/61,000  1.6%  100/s  10:00 left"


def test_a_file_gets_a_line_now_and_then() -> None:
    lines = counted(io.StringIO(), seconds=100, total=61_000).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("write photos  3,0")
    assert "\r" not in "".join(lines)


def test_what_was_found_done_is_not_taken_for_speed() -> None:
    """An hour of work from yesterday must not promise that the rest takes a minute."""
    shown = counted(Terminal(), seconds=60, total=1_000_000, found=500_000)
    assert "  100/s  " in shown.rstrip().rpartition("\r")[2]


def test_each_stage_keeps_its_last_line() -> None:
    stream = Terminal()
    line = CountLine(stream, Clock())
    line("unpack photos", 3, 3)
    line("write photos", 0, 7)
    line("write photos", 7, 7)
    line.close()
    lines = [each.rpartition("\r")[2].strip() for each in stream.getvalue().rstrip().split("\n")]
    assert lines == ["unpack photos  3/3  100.0%", "write photos  7/7  100.0%"]


def test_nothing_counted_leaves_nothing() -> None:
    stream = Terminal()
    CountLine(stream, Clock()).close()
    assert stream.getvalue() == ""
