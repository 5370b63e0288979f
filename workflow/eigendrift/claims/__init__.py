"""Which of the paper's claims these runs support."""
