import numpy as np

from pipelines.data import counter
from pipelines.data.counter import Draws


def test_hashes_are_the_published_outputs_of_splitmix64() -> None:
    # Rosetta Code's check values for the seed 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert counter.hashes(1234567, np.arange(3)).tolist() == expected


def test_an_examples_draws_come_from_the_same_generator_as_the_hashes() -> None:
    draws = Draws(key=1234567)
    assert draws.uniform() == 6457827717110365317 / 2**64
    assert draws.integer(0, 9) == 3203168211198807973 * 10 // 2**64


def test_keys_depend_on_every_word_and_on_their_order() -> None:
    words = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 2, 3), (3, 2, 1), (0, 0), (0,)]
    assert len({counter.key(*each) for each in words}) == len(words)


def test_a_permutation_holds_every_number_once() -> None:
    assert sorted(counter.permutation(5, 1000).tolist()) == list(range(1000))


def test_draws_fill_their_interval_evenly() -> None:
    numbers = np.array([Draws.of(0, 0, example).uniform(-1, 3) for example in range(4000)])
    counts, _ = np.histogram(numbers, bins=8, range=(-1, 3))
    assert counts.sum() == 4000
    assert np.abs(counts - 500).max() < 5 * np.sqrt(500)


def test_integers_include_both_ends() -> None:
    draws = Draws(key=3)
    assert {draws.integer(-2, 2) for _ in range(500)} == {-2, -1, 0, 1, 2}
