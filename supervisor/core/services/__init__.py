"""Services: the rules over all instances together, such as order, adoption, reload and shared sockets."""
