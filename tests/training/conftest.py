"""Threads of one process that wait for each other are slow on a machine that does other work."""

from __future__ import annotations

import cv2
import torch

torch.set_num_threads(1)
cv2.setNumThreads(1)
