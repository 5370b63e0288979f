"""The code around the rules and jobs: log, lock, code digest, configuration files, fork server and live view."""
