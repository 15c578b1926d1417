"""What this plugin changes in fairseq, one file for each change; the table `PATCHES` says what it mends and why.

A change acts while a training with `--criterion kd_ls` runs, in each of its processes, and is undone when that ends;
fairseq-validate has the changes for a checkpoint of such a training, so that both measure the same BLEU.
Any other program sees fairseq as it is, with `--user-dir user_dir` too, and with the presets `ls_transformer_*`: these
are fairseq's own transformer, and whoever trains them with fairseq's own criterion, to compare, wants its behaviour.
The few changes that are there from the import of the plugin on are needed before fairseq knows the criterion.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from . import activations, batches, building, launch, products, resuming, saving, start, tracking, validation

Replace = Callable[[object, str, object], None]  # an attribute of a module or class of fairseq's, by a new value


@dataclass(frozen=True)
class Patch:
    """One file of this folder: its name, what it mends, why that needs fairseq to be changed, and where it acts."""

    name: str
    mends: str
    why: str
    where: str
    apply: Callable[[Replace], None]
    at_import: bool = False


PATCHES = (
    Patch(
        "launch",
        "Processes that torchrun or srun starts on CPUs, or with one GPU each, train together instead of each alone.",
        "fairseq takes the number of visible GPUs for the number of workers, so each process would train by itself and "
        "overwrite the checkpoints of the others.",
        "the words of `fairseq-train` with `--criterion kd_ls`, before they are parsed",
        launch.apply,
        at_import=True,
    ),
    Patch(
        "start",
        "What would go wrong is said in one line before the first batch, and what goes wrong later in one line too.",
        "fairseq finds such mistakes in the middle of a training, with a traceback of many lines. Here the criterion "
        "is known for the first time: a training without kd_ls goes on to fairseq unchanged.",
        "`fairseq.distributed.utils.call_main`",
        start.apply,
        at_import=True,
    ),
    Patch(
        "activations",
        "A transformer with `--activation-fn swish` can be computed, as teachers from MarianMT are.",
        "fairseq gives the class `SiLU` where its layers call a function, so that none with this activation runs.",
        "`fairseq.utils.get_activation_fn`",
        activations.apply,
        at_import=True,
    ),
    Patch(
        "batches",
        "A resumed training has the batches of one that was never stopped; a worker without a batch stands in with a "
        "training batch; data that make no batch are refused.",
        "fairseq composes batches with the random seed of the epoch that it starts at, and lets an idle worker run on "
        "the first batch of the validation set, for which a store has no teacher's probabilities.",
        "`FairseqTask.get_batch_iterator`, `Trainer.get_valid_iterator`, `EpochBatchIterator.first_batch`",
        batches.apply,
    ),
    Patch(
        "building",
        "A model that cannot be built with its flags is refused in one line.",
        "fairseq stops with an assertion of its code, which names no flag.",
        "`fairseq.models.build_model`",
        building.apply,
    ),
    Patch(
        "resuming",
        "A checkpoint that cannot be resumed is refused in one line with a way out.",
        "The states of optimizer, learning rate and data are known to be unfit only where fairseq loads them.",
        "`Trainer.load_checkpoint`, `EpochBatchIterator.load_state_dict`",
        resuming.apply,
    ),
    Patch(
        "saving",
        "Checkpoints are whole at every moment; one that cannot be written is named, and leaves nothing behind.",
        "fairseq copies checkpoint_best.pt and others in place: a training that is killed meanwhile cannot be resumed.",
        "`PathManager.copy`, `checkpoint_utils.torch_persistent_save`",
        saving.apply,
    ),
    Patch(
        "products",
        "On CPUs with AVX-512 that are not Intel's, linear layers take less time; the values are the same to rounding.",
        "torch gives float32 products to MKL, which leaves AVX-512 unused there, and attention calls the function of "
        "torch itself, which no module of a model can stand in for.",
        "`torch.nn.functional.linear`",
        products.apply,
    ),
    Patch(
        "validation",
        "BLEU of validation is counted with the target language's tokeniser, and is 0 where nothing is translated.",
        "fairseq takes the tokeniser 13a for every language, so that a perfect Chinese translation has a BLEU of 0; "
        "and where no word is translated it logs no BLEU and stops with a KeyError.",
        "`TranslationTask._inference_with_bleu`, `fairseq_cli.train.get_valid_stats`",
        validation.apply,
    ),
    Patch(
        "tracking",
        "A training is one run of Weights & Biases (`--wandb-project`), in which it goes on when it is continued.",
        "fairseq begins it anew in each epoch, which leaves empty folders, and tells it the whole configuration, where "
        "another value than before, such as the port that the workers meet at, ends the training.",
        "`WandBProgressBarWrapper.__init__`, `update_config`",
        tracking.apply,
    ),
)


def apply_at_import() -> None:
    """Make the changes that have to be there before fairseq knows the criterion."""
    for patch in PATCHES:
        if patch.at_import:
            patch.apply(setattr)


@contextlib.contextmanager
def applied() -> Iterator[None]:
    """fairseq as a training with kd_ls needs it; afterwards it is as it was."""
    with contextlib.ExitStack() as undo:

        def replace(owner: object, name: str, new: object) -> None:
            undo.callback(setattr, owner, name, vars(owner)[name])  # a static method or property as it stands there
            setattr(owner, name, new)

        for patch in PATCHES:
            if not patch.at_import:
                patch.apply(replace)
        yield
