"""Folds for sources that have none: by patient, stratified by label, from a seed. May import numpy alone."""

import numpy as np

from ecg_jax.errors import DataError


def assign_folds(label: np.ndarray, patients: list[str], *, folds: int, seed: int) -> np.ndarray:
    """Folds 1 to `folds` for records with labels [N, K] (0 or 1) and patients [N]: [N] int32.

    Patients are assigned one by one, those with the rarest labels and the most records first, each to the fold that is
    furthest below its even share of the patient's labels and of the records.

    Raises:
        DataError: there are fewer patients than folds.
    """
    names, patient_of = np.unique(np.array(patients), return_inverse=True)
    if not 2 <= folds <= len(names):
        if len(names) == 1:
            raise DataError(f"all {len(label)} records are of one patient, who cannot be divided; check the patients")
        raise DataError(f"--folds {folds} does not fit {len(names)} patients; give a number from 2 to {len(names)}")
    traits = np.concatenate([label, np.ones((len(label), 1))], axis=1)  # [N, K + 1]; the last counts records
    held = np.zeros((len(names), traits.shape[1]))  # [U, K + 1]: patients
    np.add.at(held, patient_of, traits)
    total = np.maximum(held.sum(axis=0), 1)
    rarity = (held / total).max(axis=1)  # of a patient's rarest label, as a fraction of all records with it
    order = np.random.default_rng([seed, folds]).permutation(len(names))
    order = order[np.argsort(-rarity[order], kind="stable")]

    filled = np.zeros((folds, traits.shape[1]))
    fold_of = np.zeros(len(names), np.int32)
    for patient in order:
        # increase of the squared distance from even shares, each trait as a fraction of its total
        cost = (held[patient] * (2 * filled + held[patient]) / total**2).sum(axis=1)  # [folds]
        chosen = np.lexsort((filled[:, -1], cost))[0]
        filled[chosen] += held[patient]
        fold_of[patient] = chosen + 1
    return fold_of[patient_of]
