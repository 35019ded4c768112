"""Data sets: their records, with the labels, patient and fold of each. No module of this room reads a signal.

Nothing heavy may be imported at the top of these modules, because the command line is made from their dataclasses.
"""

from typing import Annotated

import tyro

from ecg_jax.sources.array_folder import ArrayFolder
from ecg_jax.sources.chapman import Chapman
from ecg_jax.sources.cinc2017 import Cinc2017
from ecg_jax.sources.cinc2021 import Cinc2021
from ecg_jax.sources.cinc2025 import Cinc2025
from ecg_jax.sources.code15 import Code15
from ecg_jax.sources.cpsc2018 import Cpsc2018
from ecg_jax.sources.hefei import Hefei
from ecg_jax.sources.listing import FunctionSource, Listing, RecordRef
from ecg_jax.sources.ludb import Ludb
from ecg_jax.sources.mimic_iv_ecg import MimicIvEcg
from ecg_jax.sources.mitdb import Mitdb
from ecg_jax.sources.ptb_xl import PtbXl
from ecg_jax.sources.sph import Sph
from ecg_jax.sources.wfdb_folder import Synthetic, WfdbFolder

Source = (
    Annotated[PtbXl, tyro.conf.subcommand(PtbXl.name)]
    | Annotated[Cinc2017, tyro.conf.subcommand(Cinc2017.name)]
    | Annotated[Cinc2021, tyro.conf.subcommand(Cinc2021.name)]
    | Annotated[Chapman, tyro.conf.subcommand(Chapman.name)]
    | Annotated[Cinc2025, tyro.conf.subcommand(Cinc2025.name)]
    | Annotated[MimicIvEcg, tyro.conf.subcommand(MimicIvEcg.name)]
    | Annotated[Ludb, tyro.conf.subcommand(Ludb.name)]
    | Annotated[Mitdb, tyro.conf.subcommand(Mitdb.name)]
    | Annotated[Cpsc2018, tyro.conf.subcommand(Cpsc2018.name)]
    | Annotated[Hefei, tyro.conf.subcommand(Hefei.name)]
    | Annotated[Sph, tyro.conf.subcommand(Sph.name)]
    | Annotated[Code15, tyro.conf.subcommand(Code15.name)]
    | Annotated[WfdbFolder, tyro.conf.subcommand(WfdbFolder.name)]
    | Annotated[ArrayFolder, tyro.conf.subcommand(ArrayFolder.name)]
    | Annotated[Synthetic, tyro.conf.subcommand(Synthetic.name)]
    | Annotated[FunctionSource, tyro.conf.subcommand("module:function")]
)
"""Every source; each is a subcommand of `ecg-jax prepare` with the fields of its dataclass as flags."""

__all__ = [
    "ArrayFolder",
    "Chapman",
    "Cinc2017",
    "Cinc2021",
    "Cinc2025",
    "Code15",
    "Cpsc2018",
    "FunctionSource",
    "Hefei",
    "Listing",
    "Ludb",
    "MimicIvEcg",
    "Mitdb",
    "PtbXl",
    "RecordRef",
    "Source",
    "Sph",
    "Synthetic",
    "WfdbFolder",
]
