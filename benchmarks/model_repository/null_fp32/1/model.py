"""A model that looks at nothing."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Answers each request with a count of zero per picture."""

    def execute(self, requests):
        """One response per request."""
        return [
            pb_utils.InferenceResponse(
                [pb_utils.Tensor("count", np.zeros((r.inputs()[0].shape()[0], 1), np.int32))]
            )
            for r in requests
        ]
