"""Executor side of staging: tokenise each Arrow batch and return it as one row `(partition, sequence number, Arrow IPC bytes)`."""

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import chain

import numpy as np
import pyarrow as pa

from sparknlp_tx.inference.model_location import ModelLocation
from sparknlp_tx.inference.tokenization import TextEncoder
from sparknlp_tx.spark.task import task_cores

PACKED_BYTES = 1024 * 1024  # of texts in a row: a JVM with 1 GB of heap finds no room for many larger ones


def pack(batches: Iterator[pa.RecordBatch], tokenizer: ModelLocation, sampling: tuple[int, int]) -> Iterator[pa.RecordBatch]:
    """Arrow batches with `text` and perhaps `text_pair` to rows of `part` and `number`, which say their order, and `batch`, binary.

    A batch is an Arrow stream. In the streams stand `input_ids` (lists of int32), `token_type_ids` (lists of int8) where the model
    takes them, `length` (int32) and the other columns as they were.

    Args:
        sampling: texts are left in one of so many training rows, and in one of so many rows that `validation` marks.
    """
    from pyspark import TaskContext

    encoder, seen, number = _encoder(tokenizer), [0, 0], 0
    context = TaskContext.get()
    assert context is not None  # this runs in a task
    part = context.partitionId()
    for batch in batches:
        size = max(1, math.floor(batch.num_rows * PACKED_BYTES / max(batch.nbytes, 1)))
        for start in range(0, batch.num_rows, size):
            table = pa.Table.from_batches([batch.slice(start, size)])
            table = _tokenised(table, encoder, _sampled(table, sampling, seen))
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
            columns = [pa.array([part], pa.int32()), pa.array([number], pa.int32()), pa.array([sink.getvalue().to_pybytes()])]
            yield pa.RecordBatch.from_arrays(columns, ["part", "number", "batch"])
            number += 1


def _sampled(table: pa.Table, sampling: tuple[int, int], seen: list[int]) -> list[bool]:
    """Which rows keep their texts; `seen` counts the rows of training and of validation so far."""
    marked = np.zeros(len(table), bool)
    if "validation" in table.column_names:
        marked = table["validation"].to_numpy()
    sampled = np.zeros(len(table), bool)
    for kind, rows in enumerate((np.flatnonzero(~marked), np.flatnonzero(marked))):
        sampled[rows] = (np.arange(len(rows)) + seen[kind]) % sampling[kind] == 0
        seen[kind] += len(rows)
    return sampled.tolist()


def _tokenised(table: pa.Table, encoder: TextEncoder, sampled: list[bool]) -> pa.Table:
    names = [name for name in ("text", "text_pair") if name in table.column_names]
    texts = [table[name].to_pylist() for name in names]
    tokens = encoder.encode(list(zip(*texts, strict=True)) if len(texts) > 1 else texts[0])
    lengths = tokens.lengths()
    for name, values in zip(names, texts, strict=True):  # pc.if_else would keep the bytes of what it makes null
        kept = pa.array([text if keep else None for text, keep in zip(values, sampled, strict=True)], pa.string())
        table = table.set_column(table.column_names.index(name), name, kept)
    table = table.append_column("length", pa.array(lengths.astype(np.int32)))
    table = table.append_column("input_ids", _lists(tokens.input_ids, lengths, np.int32))
    if "token_type_ids" in encoder.input_names:
        table = table.append_column("token_type_ids", _lists(tokens.token_type_ids, lengths, np.int8))
    return table


def _lists(rows: list[list[int]], lengths: np.ndarray, kind: type) -> pa.Array:
    values: np.ndarray = np.fromiter(chain.from_iterable(rows), kind, int(lengths.sum()))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values))


def _encoder(tokenizer: ModelLocation) -> TextEncoder:
    """The encoder of a tokenizer's folder, as many threads as the task has cores; loaded once in this process."""
    task_cores()
    return _loaded(tokenizer.key, str(tokenizer.verified()))


@lru_cache(maxsize=2)
def _loaded(key: str, path: str) -> TextEncoder:
    return TextEncoder(path)
