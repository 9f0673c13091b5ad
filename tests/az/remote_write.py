"""A remote-write 1.0 request, made by hand: the service must take what anyone makes by the specification."""

import struct


def request(series):
    """The compressed body for series: pairs of labels (a dictionary) and samples (pairs of value and milliseconds)."""
    return snappy(b"".join(field(1, timeseries(labels, samples)) for labels, samples in series))


def timeseries(labels, samples):
    encoded = b"".join(field(1, field(1, name.encode()) + field(2, value.encode())) for name, value in sorted(labels.items()))
    return encoded + b"".join(field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + varint(at_ms)) for value, at_ms in samples)


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def snappy(content):
    """The block format, with literals alone."""
    out = varint(len(content))
    for start in range(0, len(content), 65536):
        part = content[start:start + 65536]
        out += bytes([61 << 2]) + struct.pack("<H", len(part) - 1) + part
    return out


HEADERS = {
    "Content-Encoding": "snappy",
    "Content-Type": "application/x-protobuf",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
