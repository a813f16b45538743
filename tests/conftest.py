"""What all tests share: the vehicles, a flight, and where the real data lies."""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # before numpy and torch: the same sums, and cores to share

from pathlib import Path  # noqa: E402

import hypothesis  # noqa: E402
import pytest  # noqa: E402

from neural_lander.controller.vehicle import Vehicle, load_vehicle  # noqa: E402

# The first call of a compiled function takes seconds; the same cases every time.
hypothesis.settings.register_profile("ours", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ours")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real flights and published networks, or a skip with the reason."""
    folder = os.environ.get("NEURAL_LANDER_DATA")
    if not folder:
        pytest.skip("NEURAL_LANDER_DATA is unset: it names the folder of real flights and networks")
    return Path(folder)


@pytest.fixture(scope="session")
def intel_aero() -> Vehicle:
    return load_vehicle("intel-aero")


@pytest.fixture(scope="session")
def crazyflie() -> Vehicle:
    return load_vehicle("crazyflie")


@pytest.fixture(scope="session")
def crazyflie_large() -> Vehicle:
    return load_vehicle("crazyflie-large")
