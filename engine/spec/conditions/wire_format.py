"""The part of protobuf's wire format that CEL's serialized syntax trees use.

A message is a sequence of fields: a varint key `number << 3 | wire type`, then the value. Source:
https://protobuf.dev/programming-guides/encoding/
"""

MessageFields = dict[int, list[int | bytes]]


def decode_fields(message: bytes) -> MessageFields:
    """Split a protobuf message into its fields: varints as int, everything else as bytes."""
    fields: MessageFields = {}
    at = 0

    def varint() -> int:
        # Seven bits per byte, least significant first; the high bit says that another byte follows.
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(message):
        number, wire = divmod(varint(), 8)
        if wire == 0:
            fields.setdefault(number, []).append(varint())
        else:
            # Wire type 2 gives its length; 1 and 5 are fixed 64-bit and 32-bit values.
            size = varint() if wire == 2 else {1: 8, 5: 4}[wire]
            fields.setdefault(number, []).append(message[at : at + size])
            at += size
    return fields


def get_bytes(fields: MessageFields, number: int) -> bytes:
    """Return the last value of a field (protobuf's rule for repeated scalars); empty if the field is absent."""
    value = fields.get(number, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def get_int(fields: MessageFields, number: int) -> int:
    value = fields.get(number, [0])[-1]
    return value if isinstance(value, int) else 0


def get_text(fields: MessageFields, number: int) -> str:
    return get_bytes(fields, number).decode()
