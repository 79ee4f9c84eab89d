"""Bad arguments named, files whole or not at all."""
