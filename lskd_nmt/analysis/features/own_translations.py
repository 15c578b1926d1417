"""A model's own translations in the place of the references, and which of their tokens the references have."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from lskd_nmt import fairseq_io
from lskd_nmt.analysis.features.ter_alignment import END, ter_edits
from lskd_nmt.progress import Progress
from lskd_nmt.storage.arrays import Ids
from lskd_nmt.teacher.batches import Entry, PairDataset, PairItem, batches
from lskd_nmt.teacher.online import LiveTeacher

LENGTH_PENALTY = 1.0
MAX_LENGTH = (1.5, 20)  # at most a · source length + b symbols


class Outputs:
    """Sentence pairs with the model's translations as targets."""

    def __init__(self, dataset: PairDataset, targets: Mapping[int, torch.Tensor], edits: Mapping[int, Ids]) -> None:
        """Targets with their end symbols, and what TER does with each of their tokens, by the rows of the split."""
        self.dataset, self.targets, self.edits, self.tgt_dict = dataset, targets, edits, dataset.tgt_dict

    def __getitem__(self, row: int) -> PairItem:
        return {"source": self.dataset[row]["source"], "target": self.targets[row]}


def translated(
    model: LiveTeacher,
    dataset: PairDataset,
    entries: Sequence[Entry],
    beam: int,
    max_tokens: int,
    device: str,
    show: Callable[[str], None],
) -> tuple[Outputs, list[Entry]]:
    """The best translation that beam search finds of every source, and the entries with its length."""
    symbols = dataset.tgt_dict
    progress, targets, edits = Progress(len(entries), "sentences translated", show), {}, {}
    ordered = sorted(entries, key=lambda pair: (pair.source_tokens, pair.target_tokens))
    for batch in batches(ordered, max(1, max_tokens // beam)):
        items = [dataset[entry.index] for entry in batch]
        pairs = [(item["source"], item["target"]) for item in items]
        net_input, _ = fairseq_io.net_input(pairs, symbols.pad(), symbols.eos())
        net_input = {name: tensor.to(device) for name, tensor in net_input.items()}
        found = fairseq_io.generate(
            model.models,
            symbols,
            net_input,
            beam=beam,
            sampling_topk=None,
            temperature=1.0,
            len_penalty=LENGTH_PENALTY,
            max_len_a=MAX_LENGTH[0],
            max_len_b=MAX_LENGTH[1],
        )
        for entry, item, hypotheses in zip(batch, items, found, strict=True):
            ids = hypotheses[0][0]
            words, reference = ([symbols[i] for i in side] for side in (ids, item["target"].tolist()[:-1]))
            targets[entry.index] = torch.tensor([*ids, symbols.eos()])
            edits[entry.index] = np.array([*ter_edits(words, reference)[0], END])
        progress.add(len(batch))
    new = [replace(entry, target_tokens=len(targets[entry.index])) for entry in entries]
    return Outputs(dataset, targets, edits), new
