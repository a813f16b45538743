"""An example of the column map that tells ``plain_csv`` what the columns of a file are."""

EXAMPLE = """\
world = "ned"            # or "z-up": any axes with z up (ENU, motion capture); the default
body = "frd"             # or "flu": x forward, y left, z up; the default
quaternion = "wxyz"      # or "xyzw"; the default

[time]
columns = ["t_us"]
unit = "us"              # s, ms, us, ns
[position]
columns = ["x", "y", "z"]
unit = "m"               # m, cm, mm
[velocity]
columns = ["vx", "vy", "vz"]
unit = "m/s"             # m/s, cm/s, mm/s
[attitude]
columns = ["q0", "q1", "q2", "q3"]   # or roll, pitch, yaw with unit = "rad" or "deg"
[rate]
columns = ["p", "q", "r"]
unit = "deg/s"           # rad/s, deg/s, mrad/s

# All below may be left out; what is left out is marked missing.
[rotor_command]          # in the order of the vehicle file's rotors
columns = ["m1", "m2", "m3", "m4"]
zero = 1000              # what is read at 0 and at full; 0 and 1 if left out
full = 2000
[height]                 # over the surface, by range sensor or motion capture
columns = ["range"]
unit = "m"
standing = 0.09          # what it reads when the vehicle stands, in that unit; needed
[specific_force]         # accelerometer: +9.81 upwards at rest
columns = ["ax", "ay", "az"]
unit = "m/s^2"           # m/s^2, g
frame = "body"           # or "world"; the default is body
[battery]
columns = ["vbat"]
unit = "V"               # V, mV
# also: rotor_thrust_command (N, gram-force), thrust_command (N, gram-force), rotor_speed (rad/s,
# rpm), contact (1 where a leg may touch), setpoint_position, setpoint_velocity
"""
"""What ``import --help`` shows."""
