"""What surrounds jobs: their log, the lock, the code digest, configuration files, the fork server, the live view."""
