"""What moves goals forward: submit, claim-run-commit, dispatch, renew, reap, patch."""
