"""Gitea for each profile that opts in, by Argo CD, with a Postgres database of its own."""
