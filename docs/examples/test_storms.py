# docs/examples/test_storms.py
from hypothesis import given, settings

from mockcentral.sim.play import play
from mockcentral.sim.storms import storms


@settings(max_examples=50, deadline=None)
@given(storms())
def test_after_a_storm_the_client_is_live_again_and_has_everything(storm):
    scenario, plan = storm
    played = play(scenario, plan)
    assert played.live_after is None or played.live_after <= played.bound
