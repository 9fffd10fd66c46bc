"""Voltage-driven DC motors of n servos on one battery, at their output shafts, with currents and heat."""

from __future__ import annotations

import numpy as np

from robotps.parameters import FloatArray

AMBIENT = 25.0
"""degC."""
HOT = 80.0
"""degC that a servo reaches in the long run at half its stall torque (an assumption that scales with servo size)."""
THERMAL_TIME = 480.0
"""s; time constant of a servo's case (assumption: 80 g of metal and plastic losing 0.13 W/K)."""
EMPTY = 0.8
"""Open-circuit voltage of an empty battery in parts of the full one's (lithium cells: 3.35 V of 4.2 V)."""


class Battery:
    """volts: open circuit, full. resistance: ohm. capacity: A s, or None for one that never runs down."""

    def __init__(self, volts: float, resistance: float = 0.0, capacity: float | None = None) -> None:
        self.volts = volts
        self.resistance = resistance
        self.capacity = capacity
        self.drawn = 0.0

    @property
    def open_circuit(self) -> float:
        """V; falls in proportion to the charge drawn, and altogether when the battery is empty."""
        if self.capacity is None:
            return self.volts
        left = 1 - self.drawn / self.capacity
        return self.volts * (EMPTY + (1 - EMPTY) * left) if left > 0 else 0.0

    def change(self) -> None:
        """Put a full one in."""
        self.drawn = 0.0


class Motors:
    """n DC motors. Arrays have shape (n,); torque, speed and position are those of the output shafts.

    A motor is given by the ends of its torque-speed line at the voltage `nominal`: stall torque N m and no-load speed
    rad/s. With torque constant and back-EMF constant equal (SI units, no losses but friction, which is modelled apart):
    k = nominal / no_load, R = k nominal / stall; current = (duty V - k speed) / R; torque = k current.
    """

    def __init__(self, stall: FloatArray, no_load: FloatArray, nominal: float, battery: Battery) -> None:
        self.k: FloatArray = nominal / no_load
        self.resistance: FloatArray = self.k * nominal / stall
        self.battery = battery
        self.damping: FloatArray = self.k * self.k / self.resistance
        """Braking by the back-EMF of a motor whose bridge is on, N m s/rad."""
        self.stall_current: FloatArray = nominal / self.resistance
        self.voltage = battery.open_circuit
        self.current: FloatArray = np.zeros_like(stall)
        self.temperature: FloatArray = np.full_like(stall, AMBIENT)
        self._kelvin_per_watt = (HOT - AMBIENT) / (0.25 * self.stall_current**2 * self.resistance)
        self._squares: FloatArray = np.zeros_like(stall)
        self._supply = 0.0
        self._ticks = 0

    def torque(self, duty: FloatArray, speed: FloatArray, on: FloatArray) -> FloatArray:
        """Torque of the motors whose bridge is on (1; 0: off), N m. duty: -1..1 of the battery's voltage."""
        emf = self.k * speed
        self.voltage = self._loaded_voltage(duty, emf, on)
        self.current = (duty * self.voltage - emf) / self.resistance * on
        self._squares += self.current * self.current
        self._supply += float(duty @ self.current)
        self._ticks += 1
        result: FloatArray = self.k * self.current
        return result

    @property
    def ideal(self) -> bool:
        """Whether the battery's voltage is the same whatever the motors draw."""
        return self.battery.resistance == 0.0

    def stall(self) -> FloatArray:
        """Torque of blocked motors at full duty, N m, as charged as an ideal battery is now."""
        result: FloatArray = self.k / self.resistance * self.battery.open_circuit
        return result

    def ran(self, duty: FloatArray, speed: FloatArray, on: FloatArray) -> None:
        """On an ideal battery so many ticks went by, a row each: what `torque` would have noted."""
        self.voltage = self.battery.open_circuit
        current = (duty * self.voltage - self.k * speed) / self.resistance * on
        self.current = current[-1]
        self._squares += (current * current).sum(axis=0)
        self._supply += float((duty * current).sum())
        self._ticks += len(current)

    def pass_time(self, seconds: float) -> None:
        """Heat the motors and discharge the battery by what happened since the last call, `seconds` ago."""
        ticks = max(self._ticks, 1)
        self.battery.drawn += max(0.0, self._supply / ticks) * seconds
        power = self._squares / ticks * self.resistance
        warming = power * self._kelvin_per_watt - (self.temperature - AMBIENT)
        self.temperature += warming * (seconds / THERMAL_TIME)
        self._squares[:] = 0.0
        self._supply = 0.0
        self._ticks = 0

    def _loaded_voltage(self, duty: FloatArray, emf: FloatArray, on: FloatArray) -> float:
        """V = E - r I with I the sum of duty x current, solved for V."""
        electromotive = self.battery.open_circuit
        r = self.battery.resistance
        if r == 0.0:
            return electromotive
        conductance = duty * on / self.resistance
        return (electromotive + r * float(conductance @ emf)) / (1 + r * float(conductance @ duty))
