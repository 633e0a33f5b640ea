"""Generates the chart's files that depend on the controllers and on values.yaml."""
