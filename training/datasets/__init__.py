"""Labelled data sets as they are found in the world, opened as boards."""

from training.datasets.opening import check_pictures, open_data_set, prepare

__all__ = ["check_pictures", "open_data_set", "prepare"]
