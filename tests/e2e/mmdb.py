"""Writes small databases of places in the MaxMind format, as the tests need them."""

import ipaddress

TEXT, UINT16, UINT32, MAP, UINT64, ARRAY = 2, 5, 6, 7, 9, 11
SEPARATOR = bytes(16)


def control(kind, size):
    assert size < 29 + 256
    low = min(size, 29)
    first = bytes([kind << 5 | low]) if kind <= 7 else bytes([low, kind - 7])
    return first + (bytes([size - 29]) if low == 29 else b"")


def encode(value, kind=None):
    if isinstance(value, str):
        text = value.encode()
        return control(TEXT, len(text)) + text
    if isinstance(value, dict):
        return control(MAP, len(value)) + b"".join(
            encode(name) + (each if isinstance(each, bytes) else encode(each))
            for name, each in value.items())
    if isinstance(value, list):
        return control(ARRAY, len(value)) + b"".join(map(encode, value))
    digits = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return control(kind, len(digits)) + digits


def maxmind(country, city=None):
    """A record as MaxMind lays it out."""
    record = {"country": {"iso_code": country}}
    if city:
        record["city"] = {"names": {"en": city}}
    return record


def database(places, kind="Test-Places", unused_bytes=0):
    """The bytes of a database: `places` gives each prefix its record, the wider prefix first."""
    nodes, data = [[None, None]], b""
    for prefix, record in places.items():
        network = ipaddress.ip_network(prefix)
        shift = 96 if network.version == 4 else 0  # IPv4 is ::/96.
        address, bits = int(network.network_address), network.prefixlen + shift
        leaf, data = ("data", len(data)), data + encode(record)
        node = 0
        for bit in range(bits):
            side = address >> (127 - bit) & 1
            if bit + 1 == bits:
                nodes[node][side] = leaf
                break
            if not isinstance(nodes[node][side], int):
                nodes.append([nodes[node][side]] * 2)
                nodes[node][side] = len(nodes) - 1
            node = nodes[node][side]

    def number(entry):
        if entry is None:
            return len(nodes)
        return entry if isinstance(entry, int) else len(nodes) + len(SEPARATOR) + entry[1]

    tree = b"".join(number(entry).to_bytes(3, "big") for node in nodes for entry in node)
    metadata = encode({
        "node_count": encode(len(nodes), UINT32), "record_size": encode(24, UINT16),
        "ip_version": encode(6, UINT16), "database_type": kind, "languages": ["en"],
        "binary_format_major_version": encode(2, UINT16),
        "binary_format_minor_version": encode(0, UINT16),
        "build_epoch": encode(1_760_000_000, UINT64), "description": {}})
    return tree + SEPARATOR + data + bytes(unused_bytes) + b"\xab\xcd\xefMaxMind.com" + metadata
