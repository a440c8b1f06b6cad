"""Finding nodes on the local network. What is heard there is a hint until a handshake proves it."""
