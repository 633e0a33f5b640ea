"""Writes those files of the Helm chart that follow from the controllers and from values.yaml."""
