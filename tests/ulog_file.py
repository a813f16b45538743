"""Writes small ULog files for tests, by the format's own description."""

import struct
from collections.abc import Mapping

import numpy as np

Fields = Mapping[str, np.ndarray]
Topics = Mapping[tuple[str, int], Fields]

TYPES = {"f4": "float", "f8": "double", "u1": "uint8_t", "i4": "int32_t", "u4": "uint32_t"}


def ulog_file(topics: Topics, parameters: Mapping[str, float] = {}, start_us: int = 10**9) -> bytes:
    """Return a file; ``topics`` maps (name, instance) to fields, each (n,) or (n, k).

    Field ``t`` is the time since ``start_us`` [s].
    """
    data = b"ULog\x01\x12\x35\x01" + struct.pack("<Q", start_us)
    data += message("B", bytes(40))
    formats = {}
    for (name, _), fields in topics.items():
        parts = ["uint64_t timestamp"]
        for field, values in fields.items():
            if field != "t":
                count = f"[{values.shape[1]}]" if values.ndim == 2 else ""
                parts.append(f"{TYPES[values.dtype.str[1:]]}{count} {field}")
        formats[name] = message("F", (f"{name}:" + ";".join(parts) + ";").encode())
    data += b"".join(formats.values())
    for key, value in parameters.items():
        kind, code = ("int32_t", "<i") if isinstance(value, int) else ("float", "<f")
        head = f"{kind} {key}".encode()
        data += message("P", bytes([len(head)]) + head + struct.pack(code, value))
    rows: list[tuple[float, bytes]] = []
    for number, ((name, instance), fields) in enumerate(topics.items()):
        data += message("A", struct.pack("<BH", instance, number) + name.encode())
        for i, t in enumerate(fields["t"]):
            stamp = struct.pack("<HQ", number, (start_us + round(t * 1e6)) % 2**64)
            rest = b"".join(v[i].tobytes() for k, v in fields.items() if k != "t")
            rows.append((t, message("D", stamp + rest)))
    return data + b"".join(row for _, row in sorted(rows, key=lambda r: r[0]))


def message(kind: str, body: bytes) -> bytes:
    return struct.pack("<HB", len(body), ord(kind)) + body


def hop(rate: float = 10.0, **changes: Fields | None) -> dict[tuple[str, int], Fields]:
    """Topics of a 20 s flight: stand 4 s, climb at 1 m/s to 3 m, hover, sink, stand from 16 s.

    NED, nose north, 200 Hz accelerometer; ``changes`` replace topics, or leave them out (None).
    """
    t, fast = np.arange(0, 20, 1 / rate), np.arange(0, 20, 1 / 200)
    f4 = np.float32
    rises = [0.0, 4, 7, 13, 16, 20]
    z = -np.interp(t, rises, [0, 0, 3, 3, 0, 0])
    vz = np.where((t > 4) & (t < 7), -1.0, np.where((t > 13) & (t < 16), 1.0, 0.0))
    up = np.interp(t, [0, 2, 3.5, 16, 17, 20], [0.0, 0.1, 0.5, 0.5, 0.1, 0.0])
    ones, zero = np.ones(len(t)), np.zeros(len(t))
    flag = np.ones(len(t), np.uint8)
    slow = np.arange(-0.5, 20, 1.0)
    level = np.tile([0, 0, -9.81], (len(fast), 1)).astype(f4)
    topics: dict[str, Fields | None] = {
        "vehicle_local_position": {
            "t": t, "x": (5 * ones).astype(f4), "y": (7 * ones).astype(f4), "z": z.astype(f4),
            "vx": zero.astype(f4), "vy": zero.astype(f4), "vz": vz.astype(f4),
            "xy_valid": flag, "z_valid": flag, "v_xy_valid": flag, "v_z_valid": flag,
            "dist_bottom": (0.12 - z).astype(f4), "dist_bottom_valid": flag,
            "dist_bottom_sensor_bitfield": 0 * flag,
        },
        "vehicle_attitude": {"t": t, "q": np.tile([1, 0, 0, 0], (len(t), 1)).astype(f4)},
        "vehicle_angular_velocity": {
            "t": t, "xyz": np.tile([0.1, 0.2, 0.3], (len(t), 1)).astype(f4)
        },
        "sensor_combined": {"t": fast, "accelerometer_m_s2": level},
        "actuator_motors": {"t": t, "control": (up[:, None] * [0.9, 1, 1, 1.1]).astype(f4)},
        "vehicle_land_detected": {
            "t": slow, "landed": ((slow < 2) | (slow > 18)).astype(np.uint8)
        },
        "battery_status": {"t": slow, "voltage_v": np.full(len(slow), 11.5, f4)},
        **changes,
    }  # fmt: skip
    return {(name, 0): fields for name, fields in topics.items() if fields is not None}
