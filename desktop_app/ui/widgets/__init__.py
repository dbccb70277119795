"""Small widgets that Qt does not have, drawn from the system's palette so that they look at home in light and dark."""
