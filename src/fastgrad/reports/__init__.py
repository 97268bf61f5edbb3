"""What was found: frozen results, as text, JSON, one page of HTML and figures."""
