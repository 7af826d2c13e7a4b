"""A short campaign in the tests: of every kind of damage some cases, in this process."""
import pytest
from cases import GOOD, all_kinds, load_kind, run_case, steps_of

CASES = 25
"""Of each kind, unless it says otherwise (`QUICK`); "make fuzz" runs as many as there is time."""


@pytest.mark.parametrize('name', all_kinds())
def test_damaged_input_gives_a_right_result_or_a_clear_error(name):
    kind = load_kind(name)
    assert run_case(kind, []).name == 'right'
    for seed in range(getattr(kind, 'QUICK', CASES)):
        outcome = run_case(kind, steps_of(kind, seed))
        assert outcome.name in GOOD, f'python test/robustness/fuzz.py --case {name}:{seed}\n' \
            f'{outcome.name}: {outcome.detail}'
