"""What Central means. Pure: rules take `now`; no clock, socket, thread or logger may live here."""
