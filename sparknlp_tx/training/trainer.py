"""The Hugging Face Trainer as this library sets it up: its optimizer, its loss, how it evaluates."""

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import EvalPrediction, PrinterCallback, Trainer
from transformers.trainer_pt_utils import DistributedLengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput

from sparknlp_tx.inference.backends.torch_backend import TorchBackend
from sparknlp_tx.inference.batching import TOKENS_PER_BATCH
from sparknlp_tx.inference.decision_rules import MULTI, REGRESSION, decision_rule
from sparknlp_tx.inference.engine import WINDOW_ROWS, InferenceEngine
from sparknlp_tx.inference.model_directory import ModelConfig
from sparknlp_tx.inference.tokenization import TextEncoder
from sparknlp_tx.inference.transformers_compat import is_grouped_by_length
from sparknlp_tx.metrics.compute import metrics_of
from sparknlp_tx.training.collation import collate, target_tensor, tokens_of
from sparknlp_tx.training.fit_folder import COMPLETE
from sparknlp_tx.training.head import freeze
from sparknlp_tx.training.lora import LORA_RATE

if TYPE_CHECKING:
    from sparknlp_tx.training.settings import TrainingSettings

log = logging.getLogger(__name__)


class ClassifierTrainer(Trainer):
    """A Trainer whose head learns at a rate of its own, and whose rows and labels may have weights."""

    optimizer: torch.optim.Optimizer | None  # the Trainer's own

    def __init__(
        self, *, settings: "TrainingSettings", encoder: TextEncoder, model: Any, head_rates: dict[str, float], **kwargs: Any
    ):
        if not settings.lora_rank:
            freeze(model, settings.train_layers)
        decision = decision_rule(settings.problem_type, settings.labels)
        super().__init__(
            model=model,
            data_collator=lambda rows: collate(rows, encoder, settings),
            compute_metrics=lambda p: metrics_of(decision, p.predictions, p.label_ids),
            **kwargs,
        )
        self.remove_callback(PrinterCallback)
        self.settings, self.encoder, self.head_rates = settings, encoder, head_rates
        self.class_weights = None if settings.class_weights is None else torch.tensor(settings.class_weights)
        self.model_accepts_loss_kwargs = False
        self._parts, self._total = 1, None  # of a batch, see training_step

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            cls, kwargs = self.get_optimizer_cls_and_kwargs(self.args, self.model)
            decayed = set(self.get_decay_parameter_names(self.model))
            body_rate = self.args.learning_rate * (LORA_RATE if self.settings.lora_rank else 1)
            groups: dict[tuple[float, bool], list] = {}
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    groups.setdefault((self.head_rates.get(name, body_rate), name in decayed), []).append(parameter)
            self.optimizer = cls(
                [
                    {"params": parameters, "lr": rate, "weight_decay": self.args.weight_decay if decays else 0.0}
                    for (rate, decays), parameters in groups.items()
                ],
                **kwargs,
            )
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """Rows grouped by length, in an order that seed and epoch decide, so that a fit that goes on has the same."""
        if not is_grouped_by_length(self.args):
            return super()._get_train_sampler(*([] if train_dataset is None else [train_dataset]))
        rows = self.train_dataset if train_dataset is None else train_dataset
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        lengths = rows[self.args.length_column_name][:]
        return DistributedLengthGroupedSampler(size, num_replicas=1, rank=0, seed=self.args.seed, lengths=lengths)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """Write a checkpoint, and say when it is whole."""
        super()._save_checkpoint(model, trial)
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # each process writes its random state
        if self.is_world_process_zero():
            Path(self.args.output_dir, f"checkpoint-{self.state.global_step}", COMPLETE).touch()

    def training_step(self, model: Any, inputs: dict, num_items_in_batch: Any = None) -> torch.Tensor:
        """Train on one batch. On CUDA out-of-memory it is split into micro-batches (same gradient), and batches stay split for the rest of the run.

        Whatever the parts, and whichever process has which rows, the gradient is that of the mean over the whole batch. What was
        accumulated of other batches in the step that ran out of memory is lost.
        """
        weights = self._row_weights(inputs["labels"], inputs.get("weight"))
        total = weights.sum()
        if self.args.world_size > 1:
            torch.distributed.all_reduce(total)
            total /= self.args.world_size
        while True:
            rows = math.ceil(len(weights) / self._parts)
            try:
                self._total = total
                parts = [
                    {name: values[at : at + rows] for name, values in inputs.items()} for at in range(0, len(weights), rows)
                ]
                return sum(super(ClassifierTrainer, self).training_step(model, part) for part in parts)
            except torch.OutOfMemoryError:
                if rows == 1 or self.args.world_size > 1:  # the other processes would wait for as many parts
                    raise
            finally:
                self._total = None
            self._parts *= 2
            model.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()
            log.warning("Out of GPU memory: batches of %d rows go through in %d parts from here on", len(weights), self._parts)

    def compute_loss(self, model: Any, inputs: dict, return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """Cross-entropy, binary cross-entropy or squared error, as the kind of task wants; the mean over the rows' weights."""
        inputs = dict(inputs)
        weight, labels = inputs.pop("weight", None), inputs.pop("labels")
        outputs = model(**inputs)
        losses, weights = self._losses(outputs.logits.float(), labels), self._row_weights(labels, weight)
        total = weights.sum() if self._total is None else self._total
        loss = (losses * weights).sum() / total.clamp_min(1e-12)
        return (loss, outputs) if return_outputs else loss

    def evaluation_loop(self, dataloader: Any, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> EvalLoopOutput:
        """Score a data set through the engine that scores everywhere, and measure; each of several processes scores its part."""
        rows, world, rank = dataloader.dataset, self.args.world_size, self.args.process_index
        backend = TorchBackend.of(self.accelerator.unwrap_model(self.model).eval())
        budget = TOKENS_PER_BATCH[backend.device.partition(":")[0]]
        engine = InferenceEngine(self.encoder, backend, ModelConfig(self.settings.problem_type, self.settings.labels), budget)
        logits = np.zeros((len(rows), engine.num_labels), np.float32)
        with self.compute_loss_context_manager():
            for start in range(0, len(rows), WINDOW_ROWS):
                mine = slice(start + rank, min(start + WINDOW_ROWS, len(rows)), world)
                if part := range(len(rows))[mine]:
                    logits[mine] = engine.token_logits(tokens_of(rows[part]))
        targets, found = target_tensor(rows["labels"][:], self.settings), torch.from_numpy(logits)
        if world > 1:  # the others' rows are zeros here
            found = found.to(self.args.device)
            torch.distributed.all_reduce(found)
            found = found.cpu()
        weights = self._row_weights(targets, None)
        metrics = {"loss": float((self._losses(found, targets) * weights).sum() / weights.sum().clamp_min(1e-12))}
        metrics |= self.compute_metrics(EvalPrediction(found.numpy(), targets.numpy()))
        named = {f"{metric_key_prefix}_{name}": value for name, value in metrics.items()}
        return EvalLoopOutput(found.numpy(), targets.numpy(), named, len(rows))

    def _losses(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of each row, [n]."""
        F = torch.nn.functional
        if self.settings.problem_type == REGRESSION:
            return F.mse_loss(logits.squeeze(-1), labels, reduction="none")
        smoothing = self.args.label_smoothing_factor
        if self.settings.problem_type == MULTI:
            positive = None if self.class_weights is None else self.class_weights.to(logits.device)
            labels = labels * (1 - smoothing) + smoothing / 2
            return F.binary_cross_entropy_with_logits(logits, labels, reduction="none", pos_weight=positive).mean(dim=-1)
        return F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)

    def _row_weights(self, labels: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
        """How much each row counts, [n]: its own weight, times its label's."""
        weights = torch.ones(len(labels), device=labels.device) if weight is None else weight
        if self.class_weights is None or self.settings.problem_type == MULTI:
            return weights
        return weights * self.class_weights.to(labels.device)[labels]
