"""What is written stays written: whole files, sealed JSON, locks."""
