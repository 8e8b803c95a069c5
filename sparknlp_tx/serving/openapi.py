"""What `/docs` says of the paths that take texts: their bodies with examples, and their answers."""

from typing import Any

TEXT = {"type": "string"}
NULLABLE = {"type": ["string", "null"]}
ERROR = {
    "description": "A sentence: what was expected, what was found, what to do.",
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"error_code": TEXT, "message": TEXT, "error": TEXT, "error_type": TEXT},
            }
        }
    },
}
REFUSALS = {str(status): ERROR for status in (400, 401, 408, 413, 415, 422, 429, 499, 503, 504)}
VERSION_HEADER = {"X-Model-Version": {"description": "The version of the model that answered.", "schema": TEXT}}
ROW = {"type": "object", "additionalProperties": NULLABLE}
FORMS: dict[str, Any] = {
    "dataframe_records": {"type": "array", "items": ROW, "minItems": 1},
    "dataframe_split": {
        "type": "object",
        "required": ["columns", "data"],
        "properties": {
            "columns": {"type": "array", "items": TEXT},
            "data": {"type": "array", "items": {"type": "array", "items": NULLABLE}},
        },
    },
    "instances": {"type": "array", "items": NULLABLE},
    "inputs": {"type": "array", "items": NULLABLE},
    "data": {"anyOf": [{"type": "array", "items": ROW}, ROW]},
}
PARAMS: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "top_k": {"type": "integer", "minimum": 1},
        "return": {"enum": ["all", "labels", "probabilities"]},
        "threshold": {"type": "number", "minimum": 0, "maximum": 1},
    },
}
EXAMPLES = {
    "records": {"value": {"dataframe_records": [{"text": "my card was stolen"}]}},
    "split": {"value": {"dataframe_split": {"columns": ["text"], "data": [["my card was stolen"]]}}},
    "texts": {"value": {"inputs": ["my card was stolen", "what is the rate"]}},
    "labels alone": {"value": {"inputs": ["my card was stolen"], "params": {"return": "labels"}}},
    "the two most probable": {"value": {"inputs": ["my card was stolen"], "params": {"top_k": 2}}},
    "a sentence": {"value": {"data": {"sentence": "my card was stolen"}}},
}
_FORM_SCHEMAS = [
    {"type": "object", "required": [name], "properties": {name: schema, "params": PARAMS}, "additionalProperties": False}
    for name, schema in FORMS.items()
]
INVOCATIONS: dict[str, Any] = {
    "summary": "Score texts, as MLflow's server takes and answers them.",
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"anyOf": _FORM_SCHEMAS}, "examples": EXAMPLES},
            "text/csv": {"schema": TEXT, "example": "text\nmy card was stolen\n"},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
        },
    },
    "responses": {
        "200": {
            "description": "A record for each row.",
            "headers": VERSION_HEADER,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["predictions"],
                        "properties": {"predictions": {"type": "array", "items": {"type": "object"}}},
                    },
                    "example": {
                        "predictions": [{"prediction": 1.0, "predictedLabel": "stolen card", "probability": [0.1, 0.9]}]
                    },
                }
            },
        },
        **REFUSALS,
    },
}
PREDICT: dict[str, Any] = {
    "summary": "Score texts, as text-embeddings-inference takes and answers them.",
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["inputs"],
                    "additionalProperties": False,
                    "properties": {
                        "inputs": {
                            "anyOf": [
                                TEXT,
                                {"type": "array", "items": {"type": "array", "items": TEXT, "minItems": 1, "maxItems": 2}},
                            ]
                        },
                        "raw_scores": {"type": "boolean"},
                        "truncate": {"type": "boolean"},
                    },
                },
                "examples": {
                    "a text": {"value": {"inputs": "my card was stolen"}},
                    "a batch": {"value": {"inputs": [["my card was stolen"], ["what is the rate"]]}},
                },
            }
        },
    },
    "responses": {
        "200": {
            "description": "The labels with their scores, the highest first; for a batch a list of such lists.",
            "headers": VERSION_HEADER,
            "content": {"application/json": {"example": [{"score": 0.9, "label": "stolen card"}]}},
        },
        **REFUSALS,
    },
}
