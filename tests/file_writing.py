"""Recordings in formats that are not WFDB, written by hand where a package would be its own judge."""

import numpy as np


def edf(
    digital: dict[str, np.ndarray],
    *,
    unit: str = "uV",
    seconds: int = 1,
    physical: tuple[float, float] = (-3276.8, 3276.7),
    limits: tuple[int, int] = (-32768, 32767),
    reserved: str = "",
    records: int | None = None,
) -> bytes:
    """An EDF file by the text of its specification: two data records of `seconds`, each with half of every signal.

    `records` is the number of data records that the header claims.
    """
    count = 2
    fields = [("0", 8), ("X X X X", 80), ("Startdate X X X X", 80), ("01.01.20", 8), ("00.00.00", 8)]
    fields += [(str(256 * (1 + len(digital))), 8), (reserved, 44), (str(count if records is None else records), 8)]
    fields += [(str(seconds), 8), (str(len(digital)), 4)]
    columns = [(list(digital), 16), ([""] * len(digital), 80), ([unit] * len(digital), 8)]
    columns += [([f"{number:g}"] * len(digital), 8) for number in (*physical, *limits)]
    columns += [
        ([""] * len(digital), 80),
        ([str(len(samples) // count) for samples in digital.values()], 8),
        ([""] * len(digital), 32),
    ]
    header = "".join(text.ljust(width) for text, width in fields)
    header += "".join(text.ljust(width) for texts, width in columns for text in texts)
    blocks = []
    for record in range(count):
        for samples in digital.values():
            size = len(samples) // count
            blocks.append(samples[record * size : (record + 1) * size].astype("<i2").tobytes())
    return header.encode("ascii") + b"".join(blocks)


def ishne(digital: np.ndarray, *, rate_hz: int = 500, nanovolts: int = 2500) -> bytes:
    """A Holter file by the text of the ISHNE standard, without a checksum, of samples [T, L] of leads I, II, V1."""
    numbers = {14: (len(digital), 4), 18: (522, 4), 22: (522, 4), 156: (digital.shape[1], 2), 272: (rate_hz, 2)}
    for lead in range(12):
        recorded = lead < digital.shape[1]
        numbers[158 + 2 * lead] = ((5, 6, 11)[lead] if recorded else -9, 2)  # the codes of I, II and V1
        numbers[206 + 2 * lead] = (nanovolts if recorded else -9, 2)
    header = bytearray(b"ISHNE1.0".ljust(522, b"\0"))
    for at, (number, size) in numbers.items():
        header[at : at + size] = int(number).to_bytes(size, "little", signed=True)
    return bytes(header) + digital.astype("<i2").tobytes()


def aecg(
    digital: np.ndarray, leads: tuple[str, ...], *, rate_hz: int = 500, unit: str = "uV", scale: float = 2.5
) -> str:
    """An annotated ECG by the text of the HL7 standard, of samples [T, L]."""
    sequences = [
        '<sequence><code code="TIME_ABSOLUTE" codeSystem="2.16.840.1.113883.5.4"/><value xsi:type="GLIST_TS">'
        f'<head value="20200101000000.000"/><increment value="{1 / rate_hz}" unit="s"/></value></sequence>'
    ]
    for lead, samples in zip(leads, digital.T, strict=True):
        sequences.append(
            f'<sequence><code code="MDC_ECG_LEAD_{lead}" codeSystem="2.16.840.1.113883.6.24"/>'
            f'<value xsi:type="SLIST_PQ">'
            f'<origin value="0" unit="{unit}"/><scale value="{scale}" unit="{unit}"/>'
            f"<digits>{' '.join(map(str, samples))}</digits></value></sequence>"
        )
    components = "".join(f"<component>{sequence}</component>" for sequence in sequences)
    return (
        '<?xml version="1.0"?><AnnotatedECG xmlns="urn:hl7-org:v3" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<component><series><code code="RHYTHM"/><component><sequenceSet>{components}</sequenceSet></component>'
        "</series></component></AnnotatedECG>"
    )
