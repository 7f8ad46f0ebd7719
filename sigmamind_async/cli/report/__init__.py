"""``--report``: how a job went, as one HTML page that needs no network and runs no script."""
