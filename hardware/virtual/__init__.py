"""A virtual robot: the device end of the serial cable, with the physics of a real robot behind it.

It shares no code with the host side (the rest of `hardware`) and none with the simulator (`sim`): it must be able to
disagree with both. Vendors' own software judges whether it passes for the real thing.

Conventions that a host can rely on:

- The port that is handed out is a symbolic link which survives unplugging, as /dev/serial/by-id does; the terminal
  behind it has another name after every replugging.
- Servos answer at the baud rate they are set to and to no other. At the start that is the description's rate; every
  other register has its factory value (a Dynamixel's return delay is then 500 us).
- Real time: physics keeps up with the clock; answers take their time on the wire and the servos' return delay.
- Lockstep: time passes only when a goal is written (position, velocity, current or PWM), one control period of the
  description for every instruction that writes one to any number of servos, before the next instruction is answered.
  A host lets time pass by writing goals, with torque off too. An OpenCat board has no such instruction: there every
  command takes one control period, and a motion as long as it takes. Wire and boot time are none.
- The position stream has sent a control period's line before the bus answers the next instruction, so that whoever
  reads the bus first and then drains the stream sees the same in every run.
"""
