"""Run by MLflow when it loads a logged model: hands the model's files to its loader. Not for import.

MLflow keeps a copy of this file with every model ("models from code"), so nothing of ours is pickled.
"""

from __future__ import annotations

import importlib
import json
import warnings
from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from mlflow.pyfunc.model import PythonModelContext

with warnings.catch_warnings(record=True):  # MLflow asks for a type hint of the input, which the logged example gives

    class Served(PythonModel):
        """A model whose loader is named in its artifact ``loader`` as ``module:function``."""

        def load_context(self, context: PythonModelContext) -> None:
            artifacts = dict(context.artifacts)
            module, function = json.loads(Path(artifacts.pop("loader")).read_text()).split(":")
            self.answer = getattr(importlib.import_module(module), function)(artifacts)

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
            return self.answer(model_input)


set_model(Served())
