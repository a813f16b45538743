"""The world the vehicle lands in: PyBullet, aerodynamics, sensors, rollouts, figures."""
