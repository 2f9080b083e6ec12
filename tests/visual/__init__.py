"""Every page in every state, looked at in a real browser."""
