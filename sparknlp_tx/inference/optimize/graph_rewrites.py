"""OpenVINO graph rewrites: compute the last layer at the first token only, and accept packed sequences (block-diagonal attention mask,
explicit positions). `export` checks that the logits stay the same.

A classifier's head reads one position of the last layer, that of the text's first token. So of that layer only the keys and values
are needed everywhere; its queries, its feed-forward part and its output are needed where the head reads, and nowhere else. Which
positions these are becomes an input, so that a row of a batch can hold several texts, see `TextEncoder.pack`.
"""

from typing import Any

import numpy as np

from sparknlp_tx.inference.backends.openvino_runtime import import_openvino

ATTENTION = "ScaledDotProductAttention"
# what computes each position by itself where its other inputs are constants, or were taken at the same positions
POSITIONWISE = {"Add", "Subtract", "Multiply", "Divide", "Power", "Gelu", "Relu", "Tanh", "Sigmoid", "Swish", "Erf", "MVN"}
WITH_A_CONSTANT = {"MatMul", "Reshape", "Transpose"}


def arrange(model: Any) -> None:
    """Rewrite an encoder with learnt positions whose head reads the first token, in place.

    Its inputs then are input_ids, token_type_ids where it had them and position_ids, int64 [rows, tokens]; attention_mask,
    float32 [rows, 1, tokens or 1, tokens], which is added to the attention's scores; first_tokens, int64 [rows, texts in a row].
    Its logits are [rows * texts in a row, num_labels].

    Raises:
        ValueError: it is not such a model.
    """
    _take_mask(model)
    _keep_rows_and_tokens(model)
    _read_first_tokens(model)


def _take_mask(model: Any) -> None:
    """Put an input in the place of the mask that the model makes of `attention_mask` for all its attentions."""
    ops = _operations()
    given = [node for node in model.get_parameters() if node.output(0).get_names() == {"attention_mask"}]
    ports = [node.input(3) for node in _attentions(model) if node.get_input_size() > 3]
    sources = {port.get_source_output().get_node() for port in ports}
    if len(given) != 1 or len(sources) != 1 or len(ports) != len(_attentions(model)):
        raise ValueError("its attentions have not one mask")
    mask = ops.parameter([-1, 1, -1, -1], np.float32, name="mask")
    for port in ports:
        port.replace_source_output(mask.output(0))
    model.add_parameters([mask])
    model.remove_parameter(given[0])
    mask.output(0).get_tensor().set_names({"attention_mask"})
    model.validate_nodes_and_infer_types()


def _keep_rows_and_tokens(model: Any) -> None:
    """Let a reshape of what each position has, [rows, tokens, ...], take rows and tokens as they come, not count them elsewhere."""
    ops = _operations()
    for reshape in [node for node in model.get_ordered_ops() if node.get_type_name() == "Reshape"]:
        before, after = reshape.input_value(0).get_partial_shape(), reshape.output(0).get_partial_shape()
        if _is_constant(reshape.input_value(1)) or {before.rank.is_dynamic, after.rank.is_dynamic} != {False}:
            continue
        dynamic = [[dimension.is_dynamic for dimension in shape] for shape in (before, after)]
        if any(shape[:2] != [True, True] or any(shape[2:]) for shape in dynamic):
            continue
        sizes = [[dimension.get_length() for dimension in list(shape)[2:]] for shape in (before, after)]
        if np.prod(sizes[0]) == np.prod(sizes[1]):
            kept = ops.reshape(reshape.input_value(0), ops.constant([0, 0, *sizes[1]]), True)
            reshape.output(0).replace(kept.output(0))
    model.validate_nodes_and_infer_types()


def _read_first_tokens(model: Any) -> None:
    """Let the head read where the input `first_tokens` says, and the last layer compute no more than that takes."""
    ops = _operations()
    heads = [node for node in model.get_ordered_ops() if _takes_first_token(node)]
    if len(heads) != 1:
        raise ValueError(f"its first token is read in {len(heads)} places")
    head = heads[0]
    positions = ops.parameter([-1, -1], np.int64, name="first_tokens")
    positions.output(0).get_tensor().set_names({"first_tokens"})
    model.add_parameters([positions])
    one = ops.constant(1)
    for entry in _entries(model, head) or [head.input(0)]:
        source = entry.get_source_output()
        if entry.get_node().get_type_name() == ATTENTION:  # its mask, [rows, 1, tokens or 1 for all, tokens]
            mask = ops.squeeze(source, one)
            last = ops.subtract(ops.gather(ops.shape_of(mask, "i64"), one, ops.constant(0)), one)
            taken = ops.unsqueeze(ops.gather(mask, ops.minimum(positions, last), one, batch_dims=1), one)
        else:
            taken = ops.gather(source, positions, one, batch_dims=1)
        entry.replace_source_output(taken.output(0))
    width = head.input(0).get_partial_shape()[2].get_length()
    head.output(0).replace(ops.reshape(head.input_value(0), ops.constant([-1, width]), False).output(0))
    model.validate_nodes_and_infer_types()


def flatten_before_gelu(model: Any) -> None:
    """Let the linear layers before a GELU see [positions, width] in place of [rows, tokens, width].

    OpenVINO runs them as convolutions along the last axis but one, which is a short one in batches of short texts.
    """
    ops = _operations()
    for gelu in [node for node in model.get_ordered_ops() if node.get_type_name() == "Gelu"]:
        add = gelu.input_value(0).get_node()
        product = add.input_value(0).get_node()
        if (add.get_type_name(), product.get_type_name()) != ("Add", "MatMul") or not _is_constant(add.input_value(1)):
            continue
        source, result = product.input_value(0), gelu.output(0)
        alone = all(len(node.output(0).get_target_inputs()) == 1 for node in (product, add))
        if not alone or not _has_positions(source) or not _has_positions(result):
            continue
        width, wider = (port.get_partial_shape()[2].get_length() for port in (source, result))
        rows_tokens = ops.gather(ops.shape_of(source, "i64"), ops.constant([0, 1]), ops.constant(0))
        readers = result.get_target_inputs()
        product.input(0).replace_source_output(ops.reshape(source, ops.constant([-1, width]), False).output(0))
        add.input(1).replace_source_output(ops.reshape(add.input_value(1), ops.constant([1, wider]), False).output(0))
        back = ops.reshape(gelu, ops.concat([rows_tokens, ops.constant([wider])], 0), False)
        for reader in readers:
            reader.replace_source_output(back.output(0))
    model.validate_nodes_and_infer_types()


def _entries(model: Any, head: Any) -> list[Any]:
    """Where the part of the last layer that only the head needs reads what is needed everywhere; empty where it is not clear."""
    attentions = _attentions(model)
    if not attentions or attentions[-1].get_attributes()["causal"]:
        return []
    attention = attentions[-1]
    everywhere = _ancestors([attention.input_value(1).get_node(), attention.input_value(2).get_node()])
    entries, found, waiting = [], {head}, [head.input_value(0).get_node()]
    while waiting:
        node = waiting.pop()
        if node in found:
            continue
        found.add(node)
        kind, inputs = node.get_type_name(), node.inputs()
        if node == attention:
            entries.append(inputs[3])
            inputs = inputs[:1]
        elif kind in WITH_A_CONSTANT and _is_constant(node.input_value(1)):
            inputs = inputs[:1]
        elif kind not in POSITIONWISE:
            return []
        for port in inputs:
            source = port.get_source_output()
            if source.get_node() not in everywhere:
                waiting += [] if _is_constant(source) else [source.get_node()]
            elif _is_constant(source):
                continue
            elif _has_positions(source):
                entries.append(port)
            else:
                return []
    return entries


def _operations() -> Any:
    import_openvino()
    from openvino import opset13

    return opset13


def _attentions(model: Any) -> list[Any]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == ATTENTION]


def _ancestors(nodes: list[Any]) -> set[Any]:
    found: set[Any] = set()
    while nodes:
        node = nodes.pop()
        if node not in found:
            found.add(node)
            nodes += [port.get_node() for port in node.input_values()]
    return found


def _takes_first_token(node: Any) -> bool:
    """Whether a node is `hidden[:, 0]` of [rows, tokens, width]."""
    if node.get_type_name() != "Gather" or not _has_positions(node.input_value(0)):
        return False
    return all(_is_constant(node.input_value(k)) and node.input_value(k).get_node().get_data() == k - 1 for k in (1, 2))


def _has_positions(port: Any) -> bool:
    """Whether a port is [rows, tokens, width], of which only the width is known."""
    shape = port.get_partial_shape()
    return shape.rank == 3 and shape[1].is_dynamic and shape[2].is_static


def _is_constant(port: Any) -> bool:
    return port.get_node().get_type_name() == "Constant"
