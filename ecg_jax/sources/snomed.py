"""Records whose headers have SNOMED CT codes in `Dx`, as those of the CinC Challenges 2020 and 2021."""

import re
from collections.abc import Callable, Iterable
from typing import Literal

from ecg_jax.errors import Rejected
from ecg_jax.sources.header_comments import Described
from ecg_jax.sources.label_maps import map_rows
from ecg_jax.sources.listing import Listing, occurring
from ecg_jax.target import Target

Classes = Literal["scored", "all"]
CODE = re.compile(r"(?<![^\s,])[0-9]{6,18}(?![^\s,])")  # between commas, as long as a code of SNOMED CT can be


def by_codes(
    records: Iterable[Described],
    classes: Classes,
    source_of: Callable[[Described], str] = lambda record: "",
    left_out: Iterable[Rejected] = (),
) -> Listing:
    """Lists records with the labels that their codes stand for.

    `scored`: the 26 classes of 2021 in the order of their table of weights; codes that it takes as the same are one
    class, and a record without any of them has no label. `all`: each code that occurs, by its abbreviation in the label
    map `snomed`, or as it stands where that has none.
    """
    known = map_rows("snomed")
    scored = tuple(dict.fromkeys(row["class"] for row in known if row["scored"] == "yes"))
    label_of = {row["code"]: row["class" if classes == "scored" else "label"] for row in known}
    refs = []
    for record in records:
        codes: list[str] = CODE.findall(record.values.get("dx", ""))
        labels = {label_of.get(code, code) for code in codes}
        refs.append(record.ref(labels.intersection(scored) if classes == "scored" else labels, source_of(record)))
    if classes == "scored":
        return Listing(tuple(refs), Target("multilabel", scored), left_out=tuple(left_out), score="cinc2021")
    return Listing(tuple(refs), Target("multilabel", occurring(refs)), left_out=tuple(left_out))
