"""Byte pipes to a board: serial, SSH, memory. They carry bytes and know nothing of what the bytes mean."""
