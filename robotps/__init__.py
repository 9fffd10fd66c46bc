"""Tune a quadruped's gait in simulation, take it to the robot, and close the gap between the two."""
