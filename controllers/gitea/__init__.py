"""A Gitea for each profile that opted in, by Argo CD, with a database and password of its own."""
