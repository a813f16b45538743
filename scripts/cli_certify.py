"""From the options of ``certify`` to the plan, the start and the error bounds of a tube."""

from typing import Any


def tube_options(
    reference: str | None, scenario: str, epsilon: float | None, constant: float
) -> dict[str, Any]:
    """Return plan, errors and start for ``certify``; nothing where no reference is given.

    The plan is the one that ``land`` flies in the same scenario, the start what it allows there.

    Raises:
        InputError: unknown names; a bound without a reference, which has no use for it.
    """
    from neural_lander.controller.errors import InputError
    from neural_lander.controller.setpoint import plan_descent
    from neural_lander.controller.tube import ErrorBounds, Start
    from neural_lander.sim.scenario import load_scenario

    if reference is None:
        if epsilon is not None or constant:
            raise InputError("--epsilon is for a tube; say along which --reference it is to be")
        return {}
    known = load_scenario(scenario)
    plan = plan_descent(reference, (0.0, 0.0, known.start_height), known.target_height, known.hover)
    if epsilon is None and constant:
        raise InputError("--epsilon-constant needs --epsilon, the part that changes, beside it")
    errors = None if epsilon is None else ErrorBounds(epsilon, constant, "given by --epsilon")
    return {
        "plan": plan,
        "errors": errors,
        "start": Start(known.start_spread, known.start_speed_spread, None),
    }
