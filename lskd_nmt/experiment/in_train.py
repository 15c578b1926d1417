"""How much of a further test set stands in train: data are prepared without it, so nothing took it out there."""

from collections import defaultdict

from lskd_nmt.data.bitext import lines_of
from lskd_nmt.experiment.run import Run
from lskd_nmt.storage.files import read_lines, sha256
from lskd_nmt.storage.typed import read_record, record, write_record

FILE = "in_train.json"  # in the folder of a test set


@record
class InTrain:
    """Sentences of a test set that a model may have learned by heart; a sentence counts once."""

    sentences: int  # of the test set
    pairs: int  # that stand in train with one of their references
    sources: int  # whose source stands in train, with any target
    data: str = ""  # the hash of the prep.json of these data; empty: there was none, or an older version counted

    def line(self, name: str) -> str:
        """For a person."""
        return (
            f"test set {name}: of {self.sentences:,} sentences {self.pairs:,} stand in train with a reference, and "
            f"{self.sources:,} by their source: scores on them say less"
        )


def in_train(run: Run) -> InTrain | None:
    """The count for the further test set of this view, made once for the data; None where train's text is not there."""
    file, prepared = run.set_folder(run.set_name) / FILE, run.data / "prep.json"
    data = sha256(prepared) if prepared.is_file() else ""
    known = read_record(file, InTrain) if file.is_file() else None
    if known is not None and known.data == data:
        return known
    train = [run.text("train", side) for side in ("source", "target")]
    if run.test_set is None or not all(each.is_file() for each in train):
        return None
    rows = defaultdict[str, list[int]](list)
    for row, source in enumerate(read_lines(run.text("test", "source"))):
        rows[source].append(row)
    references = [read_lines(each) for each in run.references()]
    sources, pairs = set[int](), set[int]()
    for source, target in zip(*map(lines_of, train), strict=False):
        for row in rows.get(source, ()):
            sources.add(row)
            if any(lines[row] == target for lines in references):
                pairs.add(row)
    found = InTrain(sum(map(len, rows.values())), len(pairs), len(sources), data)
    write_record(file, found)
    return found
