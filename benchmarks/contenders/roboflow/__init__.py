"""Roboflow's InferencePipeline."""
