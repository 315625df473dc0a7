"""Starting studies through Ray's cluster launcher; with ``tuning/`` the only place that may import ray."""
