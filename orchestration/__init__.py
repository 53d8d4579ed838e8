"""Dagster's side of Raisonné: definitions, settings, publishing and the command line."""
