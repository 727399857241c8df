"""What the driver decides: which trial is handed out when, and what becomes of it."""
